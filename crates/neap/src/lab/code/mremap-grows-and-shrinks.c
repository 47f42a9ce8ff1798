#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
    /* Nine pages, so that the one behind the eight is certain to be mapped. */
    char *map = mmap(NULL, 9 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    memset(map, 7, 9 * 4096);
    if (mremap(map, 8 * 4096, 4 * 4096, 0) == MAP_FAILED)
        perror("shrink");
    if (mremap(map, 4 * 4096, 8 * 4096, 0) == MAP_FAILED)
        perror("grow");
    else
        printf("%d, then %d\n", map[4 * 4096 - 1], map[4 * 4096]);
    if (mremap(map, 8 * 4096, 9 * 4096, 0) == MAP_FAILED)
        perror("grow with a page in the way");
    return 0;
}

#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static char *map(int byte)
{
    char *map = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return map == MAP_FAILED ? NULL : memset(map, byte, 4 * 4096);
}

int main(void)
{
    char *from = map(7), *to = map(9);
    if (!from || !to)
        return 1;
    if (mremap(from, 4 * 4096, 4 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, from + 4096) == MAP_FAILED)
        perror("onto itself");
    if (mremap(from, 4 * 4096, 4 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
        perror("over the target");
    printf("the target has %d\n", to[0]);
    return 0;
}

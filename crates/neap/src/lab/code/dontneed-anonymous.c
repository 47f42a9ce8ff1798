#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
    char *map = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(map, 7, 64 * 4096);
    madvise(map + 16 * 4096, 32 * 4096, MADV_DONTNEED);
    printf("outside: %d, inside: %d\n", map[0], map[16 * 4096]);
    return 0;
}

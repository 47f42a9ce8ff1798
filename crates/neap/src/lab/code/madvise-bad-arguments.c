#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>

int main(void)
{
    char *map = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (madvise(map + 1, 4096, MADV_NORMAL))
        perror("an address not on a page");
    if (madvise(map, -1, MADV_NORMAL))
        perror("a length of -1");
    if (madvise(map, 4096, 9999))
        perror("advice 9999");
    printf("a length of 0: %d\n", madvise(map, 0, MADV_DONTNEED));
    printf("a length of a page and a byte: %d\n", madvise(map, 4097, MADV_DONTDUMP));
    return 0;
}

#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    struct stat is;
    int fd = memfd_create("memory", 0);
    if (ftruncate(fd, 64 * 4096))
        perror("ftruncate");
    char *map = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memset(map, 7, 64 * 4096);
    fstat(fd, &is);
    printf("%ld blocks\n", (long)is.st_blocks);
    madvise(map + 16 * 4096, 32 * 4096, MADV_REMOVE);
    fstat(fd, &is);
    printf("%ld blocks; it reads %d\n", (long)is.st_blocks, map[16 * 4096]);
    return 0;
}

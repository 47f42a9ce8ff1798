#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

#define SIZE (1024 * 4096)

static void tell(int fd, const char *when)
{
    uint64_t range[2] = {0, 0}, counts[5] = {0};
    if (syscall(SYS_cachestat, fd, range, counts, 0) != 0)
        perror("cachestat");
    else
        printf("%s: %llu dirty pages\n", when, (unsigned long long)counts[1]);
}

int main(int argc, char **argv)
{
    int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, SIZE) != 0) {
        fprintf(stderr, "usage: %s FILE (it is overwritten; on a disk)\n", argv[0]);
        return 2;
    }
    char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    memset(map, 'd', SIZE);
    tell(fd, "stored");
    int free_pages = msync(map, SIZE, MS_INVALIDATE);
    tell(fd, "MS_INVALIDATE");
    if (mlock(map, 4096) != 0)
        perror("mlock");
    int locked = msync(map, SIZE, MS_INVALIDATE);
    printf("%d, and with a locked page %d: %m\n", free_pages, locked);
    return 0;
}

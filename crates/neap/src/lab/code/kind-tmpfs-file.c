#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (1UL << 30)

int main(void)
{
    int fd = memfd_create("by-hand", 0);
    if (fd < 0 || ftruncate(fd, SIZE) != 0) {
        perror("memfd_create");
        return 1;
    }
    char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    memset(map, 'c', SIZE);
    if (system("echo mapped; grep Shmem: /proc/meminfo; grep Rss /proc/$PPID/status"))
        return 1;
    munmap(map, SIZE);
    /* The file is still there. (The child of system() would keep it open, too, but not for long.) */
    if (system("echo unmapped; grep Shmem: /proc/meminfo; grep Rss /proc/$PPID/status"))
        return 1;
    close(fd);
    return system("echo closed; grep Shmem: /proc/meminfo");
}

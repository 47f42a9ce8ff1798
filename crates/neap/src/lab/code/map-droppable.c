#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

int main(void)
{
    size_t len = 256 * 4096;
    char *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        perror("MAP_DROPPABLE (Linux 6.11)");
        return 1;
    }
    memset(map, 7, len);
    if (fork() == 0) {
        printf("a child reads %d\n", map[0]);
        return 0;
    }
    wait(NULL);
    int zeros = 0;
    madvise(map, len, MADV_PAGEOUT);
    for (size_t at = 0; at < len; at += 4096)
        zeros += map[at] == 0;
    printf("after MADV_PAGEOUT %d of 256 pages read 0\n", zeros);
    return 0;
}

#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

int main(void)
{
    /* Not as root: it would take a page of memory out of use. */
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (setuid(65534) && geteuid() == 0)
        return 1;
    map[0] = 7;
    if (madvise(map, 4096, MADV_HWPOISON))
        perror("HWPOISON");
    if (madvise(map, 4096, MADV_SOFT_OFFLINE))
        perror("SOFT_OFFLINE");
    printf("it reads %d\n", map[0]);
    return 0;
}

#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

int main(void)
{
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    map[0] = 7;
    mprotect(map, 4096, PROT_READ);
    if (syscall(SYS_mseal, map, 4096UL, 0UL))
        perror("mseal");
    if (madvise(map, 4096, MADV_DONTNEED))
        perror("DONTNEED");
    printf("DONTDUMP: %d; it reads %d\n", madvise(map, 4096, MADV_DONTDUMP), map[0]);
    return 0;
}

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

int main(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (syscall(SYS_mseal, page, 4096, 0) != 0) {
        perror("mseal (Linux 6.10)");
        return 1;
    }
    printf("mprotect: %s\n", mprotect(page, 4096, PROT_READ) ? strerror(errno) : "success");
    printf("munmap: %s\n", munmap(page, 4096) ? strerror(errno) : "success");
    page[0] = 7;
    printf("a store: %d\n", page[0]);
    return 0;
}

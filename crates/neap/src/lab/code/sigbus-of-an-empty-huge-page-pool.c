#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, status;
    if (mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED)
        perror("mmap");
    char *lax = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, -1, 0);
    if (lax == MAP_FAILED)
        return 1;
    if (fork() == 0) {
        lax[0] = 1;
        _exit(0);
    }
    wait(&status);
    printf("MAP_NORESERVE, a store: %s\n", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "success");
    return 0;
}

#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    struct io_uring_params parameters;
    int status;
    memset(&parameters, 0, sizeof parameters);
    int ring = syscall(SYS_io_uring_setup, 8, &parameters);
    volatile char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    if (map == MAP_FAILED || madvise((void *)map, 4096, MADV_DONTNEED) != 0) {
        perror("io_uring");
        return 1;
    }
    if (fork() == 0) {
        (void)map[0];
        _exit(0);
    }
    wait(&status);
    printf("a load: %s\n", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "success");
    return 0;
}

#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

static sigjmp_buf back;

static void caught(int signal, siginfo_t *info, void *context)
{
    (void)context;
    printf("signal %d, code %d\n", signal, info->si_code);
    siglongjmp(back, 1);
}

/* Reads a byte, and tells the signal if that is not allowed. */
static void touch(volatile char *byte)
{
    struct sigaction action = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    if (!sigsetjmp(back, 1))
        printf("reads %d\n", *byte);
}

int main(void)
{
    int ends[2];
    char *map = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(map, 7, 8 * 4096);
    printf("install: %d\n", madvise(map + 4 * 4096, 4096, MADV_GUARD_INSTALL));
    touch(map + 4 * 4096);
    touch(map + 3 * 4096);
    if (!pipe(ends) && write(ends[1], map + 4 * 4096, 8) < 0)
        perror("write from the guard");
    madvise(map, 8 * 4096, MADV_DONTNEED);
    touch(map + 4 * 4096);
    madvise(map, 8 * 4096, MADV_GUARD_REMOVE);
    touch(map + 4 * 4096);
    return 0;
}

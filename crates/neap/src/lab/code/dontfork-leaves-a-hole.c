#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

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
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    map[0] = 7;
    madvise(map, 4096, MADV_DONTFORK);
    if (!fork()) {
        touch(map);
        _exit(0);
    }
    wait(NULL);
    madvise(map, 4096, MADV_DOFORK);
    if (!fork()) {
        touch(map);
        _exit(0);
    }
    wait(NULL);
    return 0;
}

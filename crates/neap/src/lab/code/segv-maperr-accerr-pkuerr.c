#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

static sigjmp_buf back;
static siginfo_t last;

static void caught(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    last = *info;
    siglongjmp(back, 1);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    volatile char *hole = mmap(NULL, 4096, PROT_NONE, flags, -1, 0);
    volatile char *constant = mmap(NULL, 4096, PROT_READ, flags, -1, 0);
    if (sigsetjmp(back, 1) == 0)
        hole[1] = 1;
    printf("PROT_NONE: code %d (SEGV_ACCERR is %d), byte %ld\n", last.si_code, SEGV_ACCERR,
           (long)((char *)last.si_addr - hole));
    if (sigsetjmp(back, 1) == 0)
        constant[2] = 1;
    printf("PROT_READ: code %d, byte %ld\n", last.si_code, (long)((char *)last.si_addr - constant));
    munmap((void *)hole, 4096);
    if (sigsetjmp(back, 1) == 0)
        hole[3] = 1;
    printf("unmapped: code %d (SEGV_MAPERR is %d), byte %ld\n", last.si_code, SEGV_MAPERR,
           (long)((char *)last.si_addr - hole));
    return 0;
}

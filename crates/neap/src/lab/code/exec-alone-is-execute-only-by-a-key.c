#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

static sigjmp_buf back;
static volatile int code;

static void caught(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    code = info->si_code;
    siglongjmp(back, 1);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    volatile unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
    page[0] = 0xc3; /* x86: return */
    mprotect((void *)page, 4096, PROT_EXEC);
    ((void (*)(void))page)();
    puts("called");
    if (sigsetjmp(back, 1) == 0)
        printf("read: %#x: this processor has no protection keys\n", page[0]);
    else
        printf("SIGSEGV, code %d (SEGV_PKUERR is 4)\n", code);
    return 0;
}

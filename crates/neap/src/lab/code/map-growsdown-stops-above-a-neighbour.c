#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static char *lower;
static char handler_stack[65536];

static void tell(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    char text[64];
    long left = ((char *)info->si_addr - lower) / 4096;
    int len = snprintf(text, sizeof text, "%ld pages are left between them\n", left);
    _exit(write(1, text, len) != len);
}

int main(void)
{
    stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = tell, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    lower = mmap(NULL, 514 * 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
    munmap(lower + 4096, 513 * 4096);
    flags |= MAP_GROWSDOWN | MAP_FIXED_NOREPLACE;
    volatile char *byte = mmap(lower + 513 * 4096, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (byte == MAP_FAILED)
        return 1;
    for (;;)
        *(byte -= 4096) = 1;
}

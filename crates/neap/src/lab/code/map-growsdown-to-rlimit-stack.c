#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static char *top;
static char handler_stack[65536];

static void tell(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    char text[64];
    /* What was stored to lies one page below what the area has become. */
    long grown = top - (char *)info->si_addr - 4096;
    int len = snprintf(text, sizeof text, "grown to %ld kB\n", grown / 1024);
    _exit(write(1, text, len) != len);
}

int main(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = 1 << 20;
    setrlimit(RLIMIT_STACK, &limit);
    stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = tell, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    char *room = mmap(NULL, 16 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(room, 16 << 20);
    top = room + (16 << 20);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE;
    volatile char *byte = mmap(top - 4096, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (byte == MAP_FAILED)
        return 1;
    for (;;)
        *(byte -= 4096) = 1;
}

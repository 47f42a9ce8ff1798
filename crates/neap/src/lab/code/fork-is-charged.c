#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (4UL << 30)

static void tell(const char *what)
{
    printf("%-10s", what);
    fflush(stdout);
    if (system("grep Committed_AS /proc/meminfo") != 0)
        perror("grep");
}

int main(void)
{
    void *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    tell("mapped");
    if (fork() == 0) {
        /* The parent waits, so both are there. */
        tell("forked");
        _exit(0);
    }
    wait(NULL);
    tell("ended");
    return 0;
}

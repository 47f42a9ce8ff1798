#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static void locked(const char *when)
{
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status))
        if (!strncmp(line, "VmLck:", 6))
            printf("%s: %s", when, line);
    fclose(status);
}

int main(void)
{
    if (mlockall(MCL_CURRENT))
        perror("mlockall");
    locked("after mlockall");
    mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    locked("1 MiB more is mapped");
    munlockall();
    locked("after munlockall");
    return 0;
}

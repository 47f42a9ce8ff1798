#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(int sharing, const char *name)
{
    size_t size = 64 << 20;
    char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
    char command[64];
    if (map == MAP_FAILED)
        return;
    madvise(map, size, MADV_NOHUGEPAGE);
    memset(map, 1, size);
    fflush(stdout);
    if (fork() == 0) {
        snprintf(command, sizeof command, "echo %s; grep VmPTE /proc/%d/status", name, getpid());
        exit(system(command) != 0);
    }
    wait(NULL);
    munmap(map, size);
}

int main(void)
{
    tell(MAP_PRIVATE, "private");
    tell(MAP_SHARED, "shared");
    return 0;
}

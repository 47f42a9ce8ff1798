/* sysctl vm.overcommit_ratio=1000 vm.overcommit_memory=2 before; 0 and 50 are usual afterwards. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <sys/mman.h>

static void *try(const char *what, size_t size, int flags)
{
    int prot = PROT_READ | PROT_WRITE;
    void *map = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (map == MAP_FAILED)
        perror(what);
    else
        printf("%s: success\n", what);
    return map;
}

int main(void)
{
    char line[128];
    size_t limit = 0;
    FILE *meminfo = fopen("/proc/meminfo", "r");
    while (meminfo && fgets(line, sizeof line, meminfo))
        if (sscanf(line, "CommitLimit: %zu", &limit) == 1)
            break;
    limit *= 1024;
    try("half of the limit", limit / 2, 0);
    /* In mode 0 each request is looked at by itself; here they add up. */
    try("the other half", limit / 2, 0);
    try("the other half, NORESERVE", limit / 2, MAP_NORESERVE);
    return 0;
}

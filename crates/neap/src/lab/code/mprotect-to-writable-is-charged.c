#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>

static long committed_kb(void)
{
    char line[256];
    long kb = -1;
    FILE *info = fopen("/proc/meminfo", "r");
    while (info && fgets(line, sizeof line, info))
        if (sscanf(line, "Committed_AS: %ld", &kb) == 1)
            break;
    if (info)
        fclose(info);
    return kb;
}

int main(void)
{
    size_t gib = 1 << 30;
    long start = committed_kb();
    void *map = mmap(NULL, gib, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long mapped = committed_kb();
    if (mprotect(map, gib, PROT_READ | PROT_WRITE) != 0)
        perror("mprotect");
    long writable = committed_kb();
    mprotect(map, gib, PROT_READ);
    printf("mmap %+ld kB, writable %+ld kB, read-only again %+ld kB\n", mapped - start, writable - mapped,
           committed_kb() - writable);
    return 0;
}

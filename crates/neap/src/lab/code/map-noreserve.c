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
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    long before = committed_kb();
    void *plain = mmap(NULL, gib, PROT_READ | PROT_WRITE, flags, -1, 0);
    long charged = committed_kb();
    void *free_of_charge = mmap(NULL, gib, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, -1, 0);
    printf("plain: %+ld kB, MAP_NORESERVE: %+ld kB\n", charged - before, committed_kb() - charged);
    return plain == MAP_FAILED || free_of_charge == MAP_FAILED;
}

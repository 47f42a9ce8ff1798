#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* A line of smaps that the kernel writes for the mapping at `address`. */
static void show(const char *when, void *address, const char *field)
{
    char line[512];
    unsigned long start, end;
    int inside = 0;
    FILE *smaps = fopen("/proc/self/smaps", "r");
    while (fgets(line, sizeof line, smaps)) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            inside = (unsigned long)address >= start && (unsigned long)address < end;
        else if (inside && !strncmp(line, field, strlen(field)))
            printf("%s: %s", when, line);
    }
    fclose(smaps);
}

static long faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

int main(void)
{
    size_t len = 1024 * 4096;
    int advice[] = { MADV_POPULATE_READ, MADV_POPULATE_WRITE };
    for (int i = 0; i < 2; i++) {
        char *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(map, len, advice[i]);
        show(i ? "POPULATE_WRITE" : "POPULATE_READ", map, "Rss:");
        long before = faults();
        memset(map, 7, len);
        printf("faults of the writes: %ld\n", faults() - before);
    }
    return 0;
}

#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE (2UL << 20)

/* Memory from `offset` bytes above a multiple of 2 MiB on. */
static char *aligned(size_t len, size_t offset, int sharing)
{
    char *room = mmap(NULL, len + 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *base = room + (HUGE - (unsigned long)room % HUGE) + offset;
    return mmap(base, len, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

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

int main(void)
{
    char *map = aligned(HUGE, 0, MAP_PRIVATE);
    madvise(map, HUGE, MADV_HUGEPAGE);
    madvise(map, HUGE, MADV_NOHUGEPAGE);
    memset(map, 7, HUGE);
    show("filled", map, "AnonHugePages:");
    show("filled", map, "VmFlags:");
    return 0;
}

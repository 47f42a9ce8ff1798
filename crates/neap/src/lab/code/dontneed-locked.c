#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

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
    char *map = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(map, 7, 8 * 4096);
    mlock(map, 8 * 4096);
    if (madvise(map, 8 * 4096, MADV_DONTNEED))
        perror("DONTNEED of locked memory");
    printf("DONTNEED_LOCKED: %d\n", madvise(map, 8 * 4096, MADV_DONTNEED_LOCKED));
    show("after it", map, "Rss:");
    show("after it", map, "VmFlags:");
    return 0;
}

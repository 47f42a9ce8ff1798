#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

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
    char *map = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(map, 7, 64 * 4096);
    show("filled", map, "Rss:");
    madvise(map, 64 * 4096, MADV_DONTNEED);
    show("after DONTNEED", map, "Rss:");
    printf("and still it reads %d\n", map[0]);
    return 0;
}

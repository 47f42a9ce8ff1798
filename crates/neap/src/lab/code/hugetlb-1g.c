#define _GNU_SOURCE
#include <linux/mman.h>
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
    /* As root before: echo 1 >/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages */
    char *map = mmap(NULL, 1UL << 30, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (30 << MAP_HUGE_SHIFT), -1, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    map[0] = 7;
    show("one byte is written", map, "Private_Hugetlb:");
    return 0;
}

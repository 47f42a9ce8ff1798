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
    /* As root before: sysctl vm.nr_hugepages=4 */
    char *map = mmap(NULL, 3 << 20, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    memset(map, 7, 4 << 20);
    show("filled", map, "Private_Hugetlb:");
    show("filled", map, "Rss:");
    if (munmap(map, 4096))
        perror("munmap of 4 KiB");
    printf("DONTNEED: %d\n", madvise(map + (2 << 20), 2 << 20, MADV_DONTNEED));
    show("after it", map, "Private_Hugetlb:");
    return 0;
}

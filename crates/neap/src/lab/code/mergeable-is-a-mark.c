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
    char *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    printf("private: %d\n", madvise(private, 4096, MADV_MERGEABLE));
    show("private", private, "VmFlags:");
    printf("shared: %d\n", madvise(shared, 4096, MADV_MERGEABLE));
    show("shared", shared, "VmFlags:");
    return 0;
}

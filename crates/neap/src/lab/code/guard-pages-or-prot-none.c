#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static void show(const char *what, char *three)
{
    char line[512];
    int areas = 0;
    unsigned long start, end, from = (unsigned long)three;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start < from + 3 * 4096 && end > from)
            areas++;
    if (maps)
        fclose(maps);
    printf("%s: %d area(s)\n", what, areas);
}

int main(void)
{
    char *three = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(three + 4096, 4096, PROT_NONE);
    show("PROT_NONE", three);
    mprotect(three + 4096, 4096, PROT_READ | PROT_WRITE);
    if (madvise(three + 4096, 4096, MADV_GUARD_INSTALL) != 0)
        perror("MADV_GUARD_INSTALL (Linux 6.13)");
    show("guard", three);
    return 0;
}

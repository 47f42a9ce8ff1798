#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>

static int areas(void)
{
    int lines = 0, c;
    static char buffer[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    setvbuf(maps, buffer, _IOFBF, sizeof buffer);
    while ((c = fgetc(maps)) != EOF)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

int main(void)
{
    char *three = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int before = areas();
    mprotect(three + 4096, 4096, PROT_READ);
    int split = areas();
    mprotect(three + 4096, 4096, PROT_READ | PROT_WRITE);
    printf("PROT_READ: %+d areas, back: %+d\n", split - before, areas() - before);
    return 0;
}

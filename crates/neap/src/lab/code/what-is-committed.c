#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SIZE (4UL << 30)

static void tell(const char *what, int prot, int flags)
{
    void *map = mmap(NULL, SIZE, prot, flags | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        perror(what);
        return;
    }
    printf("%-16s", what);
    fflush(stdout);
    if (system("grep Committed_AS /proc/meminfo") != 0)
        perror("grep");
    munmap(map, SIZE);
}

int main(void)
{
    tell("nothing", PROT_NONE, MAP_PRIVATE);
    tell("private", PROT_READ | PROT_WRITE, MAP_PRIVATE);
    tell("NORESERVE", PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);
    tell("read-only", PROT_READ, MAP_PRIVATE);
    tell("shared", PROT_READ | PROT_WRITE, MAP_SHARED);
    return 0;
}

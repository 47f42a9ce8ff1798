#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static void tell(const char *what)
{
    printf("%-24s", what);
    fflush(stdout);
    if (system("wc -l < /proc/$PPID/maps") != 0)
        perror("wc");
}

static void put(char *at, int prot, int sharing, const char *what)
{
    if (mmap(at, 4096, prot, sharing | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        perror("mmap");
    tell(what);
}

int main(void)
{
    char *room = mmap(NULL, 6 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    tell("reserved");
    put(room + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, "writable");
    /* No line more: it merges with its neighbour. */
    put(room + 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, "writable, beside");
    put(room + 3 * 4096, PROT_READ, MAP_PRIVATE, "read-only, beside");
    return 0;
}

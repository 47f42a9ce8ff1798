#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 65536, EACH = 1000 };
static char *blocks[COUNT];

/* Without stdio, whose blocks would lie among these. */
static long resident(void)
{
    char text[128] = "";
    long pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0 || sscanf(text, "%*d %ld", &pages) != 1)
        return -1;
    close(fd);
    return pages * 4;
}

/* Keeps all blocks whose number is FIRST modulo STEP: `10 0` every tenth, `65536 65535` the newest. */
int main(int argc, char **argv)
{
    int step = argc > 2 ? atoi(argv[1]) : COUNT + 1;
    int first = argc > 2 ? atoi(argv[2]) : COUNT;
    long left[5];
    useconds_t wait[] = { 0, 500000, 500000, 1000000 };
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(EACH);
        if (blocks[i] == NULL)
            return 1;
        memset(blocks[i], 1, EACH);
    }
    long full = resident();
    for (int i = 0; i < COUNT; i++)
        if (i % step != first)
            free(blocks[i]);
    for (int i = 0; i < 4; i++) {
        usleep(wait[i]);
        left[i] = resident();
    }
    malloc_trim(0);
    left[4] = resident();
    printf("%ld kB; freed: %ld, 0.5 s %ld, 1 s %ld, 2 s %ld; trimmed %ld\n", full, left[0], left[1], left[2],
           left[3], left[4]);
    return 0;
}

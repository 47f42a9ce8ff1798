#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void course(const char *of)
{
    static char *blocks[64];
    for (int i = 0; i < 64; i++) {
        blocks[i] = malloc(100 << 10);
        if (blocks[i] != NULL)
            memset(blocks[i], 1, 100 << 10);
    }
    long full = resident();
    for (int i = 0; i < 64; i += 2)
        free(blocks[i]);
    long holes = resident();
    malloc_trim(0);
    printf("%s: %ld kB, every other freed %ld, trimmed %ld\n", of, full, holes, resident());
    for (int i = 1; i < 64; i += 2)
        free(blocks[i]);
}

int main(void)
{
    printf("stdio takes its buffer now\n");
    course("heap");
    malloc_trim(0);
    mallopt(M_MMAP_THRESHOLD, 64 << 10);
    course("mappings");
    return 0;
}

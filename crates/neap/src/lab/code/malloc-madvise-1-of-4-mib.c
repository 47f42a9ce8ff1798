#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* statm's resident, without stdio, which allocates. */
static long resident(void)
{
    char text[128] = "";
    long size = 0, pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0 || sscanf(text, "%ld %ld", &size, &pages) != 2)
        return -1;
    close(fd);
    return pages;
}

int main(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    resident();
    char *block = malloc(4 << 20);
    if (block == NULL)
        return 1;
    memset(block, 1, 4 << 20);
    char *first = (char *)(((uintptr_t)block + page - 1) & ~(page - 1));
    long before = resident();
    int error = madvise(first, 1 << 20, MADV_DONTNEED);
    long after = resident();
    printf("madvise: %d, %ld pages less\n", error, before - after);
    free(block);
    return 0;
}

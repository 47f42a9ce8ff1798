#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static long resident(void)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%*d %ld", &pages) != 1)
        return -1;
    fclose(statm);
    return pages * 4;
}

int main(void)
{
    const size_t len = 64 << 20;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    char *block = malloc(len);
    if (block == NULL)
        return 1;
    memset(block, 1, len);
    printf("written: %ld kB\n", resident());
    /* Only whole pages inside the block. */
    uintptr_t first = ((uintptr_t)block + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)block + len) & ~(page - 1);
    if (madvise((void *)first, end - first, MADV_DONTNEED) != 0)
        return 1;
    printf("madvise: %ld kB; a byte is %d now\n", resident(), block[page]);
    memset(block, 1, len);
    free(block);
    printf("written and freed: %ld kB\n", resident());
    return 0;
}

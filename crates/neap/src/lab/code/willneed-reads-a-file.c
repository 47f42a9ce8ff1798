#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file of `pages` pages of 'a', on disk and not in the page cache. */
static int cold_file(int pages)
{
    char page[4096];
    FILE *file = tmpfile();
    memset(page, 'a', sizeof page);
    for (int i = 0; i < pages; i++)
        fwrite(page, 1, sizeof page, file);
    fflush(file);
    fsync(fileno(file));
    posix_fadvise(fileno(file), 0, 0, POSIX_FADV_DONTNEED);
    return fileno(file);
}

static int resident(void *map, int pages)
{
    static unsigned char in[4096];
    int count = 0;
    mincore(map, pages * 4096UL, in);
    for (int i = 0; i < pages; i++)
        count += in[i] & 1;
    return count;
}

int main(void)
{
    char *map = mmap(NULL, 4096 * 4096, PROT_READ, MAP_SHARED, cold_file(4096), 0);
    printf("in the cache before: %d\n", resident(map, 4096));
    madvise(map, 4096 * 4096, MADV_WILLNEED);
    printf("at once: %d\n", resident(map, 4096));
    usleep(500000);
    printf("later, without a touch: %d\n", resident(map, 4096));
    return 0;
}

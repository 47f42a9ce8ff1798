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

int main(void)
{
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, cold_file(1), 0);
    printf("%.4s\n", map);
    memset(map, 'b', 4096);
    printf("%.4s\n", map);
    madvise(map, 4096, MADV_DONTNEED);
    printf("%.4s\n", map);
    return 0;
}

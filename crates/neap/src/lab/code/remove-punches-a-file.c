#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

static void shape(int fd)
{
    struct stat is;
    fstat(fd, &is);
    printf("%ld bytes, %ld blocks, first hole at %ld\n", (long)is.st_size, (long)is.st_blocks,
           (long)lseek(fd, 0, SEEK_HOLE));
}

int main(void)
{
    int fd = cold_file(64);
    char *map = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    shape(fd);
    madvise(map + 16 * 4096, 32 * 4096, MADV_REMOVE);
    shape(fd);
    printf("outside: %d, inside: %d\n", map[0], map[16 * 4096]);
    return 0;
}

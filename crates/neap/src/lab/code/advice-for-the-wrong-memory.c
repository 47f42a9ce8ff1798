#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void advise(const char *what, void *map, int advice)
{
    printf("%s: %s\n", what, madvise(map, 4096, advice) ? strerror(errno) : "success");
}

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
    int fd = cold_file(1);
    char *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *copy = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    advise("FREE of shared memory", shared, MADV_FREE);
    advise("WIPEONFORK of shared memory", shared, MADV_WIPEONFORK);
    advise("FREE of a private file mapping", copy, MADV_FREE);
    advise("REMOVE of private memory", private, MADV_REMOVE);
    advise("REMOVE of a private file mapping", copy, MADV_REMOVE);
    return 0;
}

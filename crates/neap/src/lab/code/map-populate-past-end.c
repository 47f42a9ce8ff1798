#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
    int file = memfd_create("one page", 0);
    if (ftruncate(file, 4096) != 0)
        return 1;
    char *four = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    printf("mmap with MAP_POPULATE: %s\n", four == MAP_FAILED ? "refused" : "success");
    /* MADV_POPULATE_WRITE (5.14) is 23, and tells. */
    if (madvise(four, 4 * 4096, 23) != 0)
        perror("madvise(MADV_POPULATE_WRITE)");
    return 0;
}

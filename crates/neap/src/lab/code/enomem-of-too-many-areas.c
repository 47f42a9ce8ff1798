#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
    size_t pages = 1 << 18, at = 0;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *three = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
    char *room = mmap(NULL, pages * 4096, PROT_NONE, flags, -1, 0);
    while (at < pages && mprotect(room + at * 4096, 4096, PROT_READ) == 0)
        at += 2;
    printf("mprotect of page %zu: %s\n", at, at < pages ? strerror(errno) : "success");
    for (int i = 0; i < 3; i++) /* what is left may do for one or two */
        mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (madvise(three + 4096, 4096, MADV_RANDOM) != 0)
        perror("madvise");
    if (munmap(three + 4096, 4096) != 0)
        perror("munmap");
    return 0;
}

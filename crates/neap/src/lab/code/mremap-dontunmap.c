#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

int main(void)
{
    size_t size = 4 * 4096;
    char *old = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (old == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    memset(old, 7, size);
    /* glibc reads the fifth argument, a wish for the address, with this flag, too. */
    char *new = mremap(old, size, size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    if (new == MAP_FAILED) {
        perror("mremap");
        return 1;
    }
    printf("new %d, old %d\n", new[0], old[0]);
    return 0;
}

#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>

/* As an unprivileged user, while /proc/sys/fs/file-max is lower than the number of open files. */
int main(void)
{
    int kinds[] = {MAP_PRIVATE, MAP_SHARED};
    for (int i = 0; i < 2; i++)
        if (mmap(NULL, 4096, PROT_READ, kinds[i] | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
            perror(i ? "shared" : "private");
    return 0;
}

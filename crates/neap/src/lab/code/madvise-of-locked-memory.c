#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
    int advice[] = { MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT, MADV_DONTDUMP };
    const char *name[] = { "DONTNEED", "FREE", "COLD", "PAGEOUT", "DONTDUMP" };
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mlock(map, 4096);
    for (int i = 0; i < 5; i++)
        printf("%s: %s\n", name[i], madvise(map, 4096, advice[i]) ? strerror(errno) : "success");
    return 0;
}

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
    char *three = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (three == MAP_FAILED)
        return 1;
    memset(three, 7, 3 * 4096);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    char *middle = mmap(three + 4096, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
    printf("at the place: %d; bytes %d %d %d\n", middle == three + 4096, three[0], three[4096], three[8192]);
    if (mmap(three + 1, 4096, PROT_READ, flags, -1, 0) == MAP_FAILED)
        printf("off a page: %s\n", strerror(errno));
    return 0;
}

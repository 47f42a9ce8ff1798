#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

int main(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    free(malloc(1));
    char *end = sbrk(0);
    char *next = (char *)(((uintptr_t)end + page - 1) & ~(page - 1));
    if (mmap(next, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != next)
        return 1;
    char *first = malloc(100 << 10);
    char *second = malloc(100 << 10); /* The top cannot hold this one. */
    printf("break %p, still %p; blocks %p and %p\n", (void *)end, sbrk(0), (void *)first, (void *)second);
    free(first);
    free(second);
    return 0;
}

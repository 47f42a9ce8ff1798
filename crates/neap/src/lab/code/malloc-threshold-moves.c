#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void twice(const char *what, size_t len)
{
    for (int i = 0; i < 2; i++) {
        char *block = malloc(len);
        printf("%s: %p, the break is at %p\n", what, (void *)block, sbrk(0));
        free(block);
    }
}

int main(void)
{
    twice("200 KiB", 200 << 10);
    twice("40 MiB", 40 << 20);
    malloc_trim(0);
    mallopt(M_MMAP_THRESHOLD, 131072);
    twice("200 KiB, frozen", 200 << 10);
    return 0;
}

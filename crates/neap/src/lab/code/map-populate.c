#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>

static int resident(void *map)
{
    unsigned char pages[16];
    int count = 0;
    mincore(map, sizeof pages * 4096, pages);
    for (size_t i = 0; i < sizeof pages; i++)
        count += pages[i] & 1;
    return count;
}

int main(void)
{
    int wishes[] = {0, MAP_POPULATE, MAP_POPULATE | MAP_NONBLOCK};
    for (int i = 0; i < 3; i++) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | wishes[i];
        void *map = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
        printf("%s: %d of 16 pages in memory\n", i == 0 ? "plain" : i == 1 ? "POPULATE" : "and NONBLOCK",
               resident(map));
    }
    return 0;
}

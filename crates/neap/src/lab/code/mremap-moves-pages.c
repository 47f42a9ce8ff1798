#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define SIZE (1024 * 4096)

int main(void)
{
    struct rusage before, after;
    char *map = mmap(NULL, SIZE + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    memset(map, 7, SIZE + 4096);
    /* The last page is in the way. */
    char *moved = mremap(map, SIZE, SIZE + 4096, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) {
        perror("mremap");
        return 1;
    }
    getrusage(RUSAGE_SELF, &before);
    int sum = 0;
    for (int at = 0; at < SIZE; at += 4096)
        sum += moved[at];
    getrusage(RUSAGE_SELF, &after);
    printf("%p to %p, sum %d, faults %ld\n", (void *)map, (void *)moved, sum,
           after.ru_minflt - before.ru_minflt);
    return 0;
}

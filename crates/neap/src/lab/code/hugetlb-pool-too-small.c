#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>

int main(void)
{
    /* With an empty pool: sysctl vm.nr_hugepages is 0. */
    void *map = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (map == MAP_FAILED)
        perror("mmap");
    return 0;
}

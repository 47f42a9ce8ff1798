/* sysctl vm.overcommit_memory=1 before, and what it was afterwards (0 is usual). */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

int main(void)
{
    struct sysinfo info;
    if (sysinfo(&info) != 0)
        return 1;
    size_t size = 4 * (info.totalram + info.totalswap) * info.mem_unit;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        perror("four times memory and swap");
    else
        printf("four times memory and swap: success\n");
    map = mmap(NULL, (size_t)1 << 63, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        perror("2^63 bytes");
    return 0;
}

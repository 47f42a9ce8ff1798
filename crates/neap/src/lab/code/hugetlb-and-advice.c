#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
    /* As root before: sysctl vm.nr_hugepages=2 */
    int advice[] = { MADV_FREE, MADV_WIPEONFORK, MADV_COLD, MADV_PAGEOUT };
    const char *name[] = { "FREE", "WIPEONFORK", "COLD", "PAGEOUT" };
    char *map = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    memset(map, 7, 4 << 20);
    for (int i = 0; i < 4; i++)
        printf("%s: %s\n", name[i], madvise(map, 4 << 20, advice[i]) ? strerror(errno) : "success");
    printf("DONTNEED of 4 KiB: %d; it reads %d\n", madvise(map, 4096, MADV_DONTNEED), map[0]);
    if (madvise(map + 4096, 4096, MADV_DONTNEED))
        perror("DONTNEED from 4 KiB on");
    return 0;
}

#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

int main(void)
{
    struct rlimit limit = { 16 * 4096, 16 * 4096 };
    char *map = mmap(NULL, 17 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    setrlimit(RLIMIT_MEMLOCK, &limit);
    if (setuid(65534) && geteuid() == 0)
        return 1;
    printf("16 pages: %d\n", mlock(map, 16 * 4096));
    if (mlock(map, 17 * 4096))
        perror("17 pages");
    int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_LOCKED;
    munlock(map, 16 * 4096);
    if (mmap(NULL, 17 * 4096, PROT_READ, flags, -1, 0) == MAP_FAILED)
        perror("17 pages with MAP_LOCKED");
    limit.rlim_cur = 0;
    setrlimit(RLIMIT_MEMLOCK, &limit);
    if (mlock(map, 4096))
        perror("with a limit of 0");
    return 0;
}

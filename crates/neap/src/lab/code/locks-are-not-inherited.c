#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    map[0] = 7;
    mlock(map, 4096);
    if (madvise(map, 4096, MADV_DONTNEED))
        perror("in the parent");
    if (!fork()) {
        dprintf(1, "in the child: %d\n", madvise(map, 4096, MADV_DONTNEED));
        _exit(0);
    }
    wait(NULL);
    printf("the parent reads %d\n", map[0]);
    return 0;
}

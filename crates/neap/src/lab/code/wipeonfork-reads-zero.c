#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    map[0] = 7;
    madvise(map, 4096, MADV_WIPEONFORK);
    if (!fork()) {
        dprintf(1, "the child reads %d\n", map[0]);
        _exit(0);
    }
    wait(NULL);
    madvise(map, 4096, MADV_KEEPONFORK);
    if (!fork()) {
        dprintf(1, "after KEEPONFORK a child reads %d\n", map[0]);
        _exit(0);
    }
    wait(NULL);
    return 0;
}

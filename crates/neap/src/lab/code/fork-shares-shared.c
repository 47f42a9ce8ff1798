#define _DEFAULT_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    size_t size = 1024 * 4096;
    char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    memset(map, 'p', size);
    if (fork() == 0) {
        memset(map, 'c', size);
        _exit(0);
    }
    wait(NULL);
    printf("the parent sees %c\n", map[0]);
    return 0;
}

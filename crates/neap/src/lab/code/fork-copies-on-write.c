#define _DEFAULT_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    size_t size = 1024 * 4096;
    char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    madvise(map, size, MADV_NOHUGEPAGE);
    memset(map, 'p', size);
    if (fork() == 0) {
        struct rusage before, after;
        getrusage(RUSAGE_SELF, &before);
        for (int page = 0; page < 256; page++)
            map[page * 4096] = 'c';
        getrusage(RUSAGE_SELF, &after);
        printf("256 stores, %ld faults\n", after.ru_minflt - before.ru_minflt);
        return 0;
    }
    wait(NULL);
    printf("the parent sees %c\n", map[0]);
    return 0;
}

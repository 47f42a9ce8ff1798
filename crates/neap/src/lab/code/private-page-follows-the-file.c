#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;
    if (fd < 0 || ftruncate(fd, 2 * 4096) != 0) {
        fprintf(stderr, "usage: %s FILE (it becomes two pages long)\n", argv[0]);
        return 2;
    }
    volatile char *map = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    char seen = map[0];
    map[4096 + 1] = 's';
    if (pwrite(fd, "bb", 2, 0) != 2 || pwrite(fd, "bb", 2, 4096) != 2)
        return 1;
    printf("loaded from: %d, then %c; stored to: %d\n", seen, map[0], map[4096]);
    return 0;
}

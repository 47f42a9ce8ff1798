#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT | O_EXCL, 0600) : -1;
    if (fd < 0 || ftruncate(fd, 4096) != 0) {
        fprintf(stderr, "usage: %s FILE (a new one; it is removed)\n", argv[0]);
        return 2;
    }
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    close(fd);
    unlink(argv[1]);
    map[0] = 'b';
    printf("still %c\n", map[0]);
    fflush(stdout);
    return system("grep deleted /proc/$PPID/maps");
}

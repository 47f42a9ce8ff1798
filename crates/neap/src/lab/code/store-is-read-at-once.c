#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char byte = 0;
    int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;
    if (fd < 0 || ftruncate(fd, 4096) != 0) {
        fprintf(stderr, "usage: %s FILE (it becomes a page long)\n", argv[0]);
        return 2;
    }
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    map[9] = 'b';
    if (pread(fd, &byte, 1, 9) == 1)
        printf("pread after the store: %c\n", byte);
    if (pwrite(fd, "c", 1, 9) == 1)
        printf("the mapping after pwrite: %c\n", *(volatile char *)(map + 9));
    return 0;
}

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile char *map_file(const char *name)
{
    int fd = open(name, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, 4096) != 0)
        return MAP_FAILED;
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE (it becomes a page long)\n", argv[0]);
        return 2;
    }
    pid_t child = fork();
    volatile char *map = map_file(argv[1]);
    if (map == (volatile char *)MAP_FAILED) {
        perror(argv[1]);
        return 1;
    }
    if (child == 0) {
        map[0] = 'x';
        _exit(0);
    }
    wait(NULL);
    printf("the other process stored %c, and nobody called msync\n", map[0]);
    return 0;
}

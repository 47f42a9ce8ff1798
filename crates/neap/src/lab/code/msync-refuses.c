#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (16 * 4096)

static void try(const char *what, char *at, size_t len, int flags)
{
    int answer = msync(at, len, flags);
    printf("%s: %s\n", what, answer == 0 ? "success" : strerror(errno));
}

int main(int argc, char **argv)
{
    int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, SIZE) != 0) {
        fprintf(stderr, "usage: %s FILE (it is overwritten)\n", argv[0]);
        return 2;
    }
    char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    try("both flags", map, SIZE, MS_SYNC | MS_ASYNC);
    try("inside a page", map + 1, 1, MS_SYNC);
    try("length 0", map, 0, MS_SYNC);
    munmap(map + 4096, 4096);
    /* All but the hole is written. */
    try("over a hole", map, SIZE, MS_SYNC);
    return 0;
}

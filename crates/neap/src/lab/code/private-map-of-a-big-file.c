#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

static void try(const char *what, int fd, size_t len, int prot, int flags)
{
    void *map = mmap(NULL, len, prot, flags, fd, 0);
    if (map == MAP_FAILED)
        perror(what);
    else
        printf("%s: success\n", what);
    if (map != MAP_FAILED)
        munmap(map, len);
}

int main(int argc, char **argv)
{
    struct sysinfo info;
    int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
    if (fd < 0 || sysinfo(&info) != 0) {
        fprintf(stderr, "usage: %s FILE (it becomes sparse and large)\n", argv[0]);
        return 2;
    }
    size_t all = (info.totalram + info.totalswap) * info.mem_unit, big = all / 18 * 30;
    if (ftruncate(fd, big) != 0) {
        perror("ftruncate");
        return 1;
    }
    try("16.5 of 18, private", fd, all / 36 * 33, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    try("30 of 18, private", fd, big, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    try("30 of 18, private, read-only", fd, big, PROT_READ, MAP_PRIVATE);
    try("30 of 18, NORESERVE", fd, big, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);
    try("30 of 18, shared", fd, big, PROT_READ | PROT_WRITE, MAP_SHARED);
    return 0;
}

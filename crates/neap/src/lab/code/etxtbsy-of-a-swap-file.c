#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

/* Give it the path of a swap file that is in use (see /proc/swaps). */
int main(int argc, char **argv)
{
    int file = argc > 1 ? open(argv[1], O_RDWR) : -1;
    if (file < 0) {
        perror("open");
        return 1;
    }
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED)
        perror("shared and writable");
    if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0) != MAP_FAILED)
        puts("shared, for reading: success");
    return 0;
}

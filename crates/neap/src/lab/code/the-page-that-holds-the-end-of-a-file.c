#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    int file = memfd_create("file", 0);
    struct stat status;
    if (ftruncate(file, 100) != 0)
        return 1;
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    printf("byte 200: %d\n", page[200]);
    page[200] = 1;
    fstat(file, &status);
    printf("byte 200: %d, length of the file: %ld\n", page[200], (long)status.st_size);
    return 0;
}

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char *page_of(int file)
{
    if (file < 0 || ftruncate(file, 4096) != 0)
        return MAP_FAILED;
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
}

int main(void)
{
    int one = memfd_create("by-hand", MFD_CLOEXEC), two = memfd_create("by-hand", MFD_CLOEXEC);
    char *first = page_of(one), *second = page_of(two);
    if (first == MAP_FAILED || second == MAP_FAILED)
        return 1;
    struct stat status;
    first[0] = '1';
    fstat(one, &status);
    printf("the other: %d, names: %lu\n", second[0], (unsigned long)status.st_nlink);
    fflush(stdout);
    return system("grep memfd: /proc/$PPID/maps");
}

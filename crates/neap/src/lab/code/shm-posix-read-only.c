#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
    const char *name = "/neap-by-hand";
    int file = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    int reader = shm_open(name, O_RDONLY, 0);
    shm_unlink(name);
    if (file < 0 || reader < 0 || ftruncate(file, 4096) != 0)
        return 1;
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *view = mmap(NULL, 4096, PROT_READ, MAP_SHARED, reader, 0);
    if (page == MAP_FAILED || view == MAP_FAILED)
        return 1;
    page[0] = 'x';
    printf("for reading: %c\n", view[0]);
    if (mprotect(view, 4096, PROT_READ | PROT_WRITE) != 0)
        printf("mprotect: %s\n", strerror(errno));
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0) == MAP_FAILED)
        printf("shared, for writing: %s\n", strerror(errno));
    char *copy = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 0);
    if (copy == MAP_FAILED)
        return 1;
    copy[0] = 'y';
    printf("private, for writing: %c, and the object %c\n", copy[0], view[0]);
    if (ftruncate(reader, 0) != 0)
        printf("ftruncate: %s\n", strerror(errno));
    return 0;
}

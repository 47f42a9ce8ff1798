#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static char *page_of(const char *name)
{
    int file = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (file < 0 || ftruncate(file, 4096) != 0)
        return MAP_FAILED;
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return page;
}

int main(void)
{
    const char *name = "/neap-by-hand";
    char *page = page_of(name);
    if (page == MAP_FAILED)
        return 1;
    page[0] = 'a';
    shm_unlink(name);
    printf("without name and descriptor: %c\n", page[0]);
    char *other = page_of(name);
    if (other == MAP_FAILED)
        return 1;
    printf("a new object of that name: %d\n", other[0]);
    shm_unlink(name);
    return 0;
}

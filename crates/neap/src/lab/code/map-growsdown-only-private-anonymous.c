#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static void try_it(const char *what, int flags, int file)
{
    void *map = mmap(NULL, 4096, PROT_READ, flags | MAP_GROWSDOWN, file, 0);
    printf("%s: %s\n", what, map == MAP_FAILED ? strerror(errno) : "success");
}

int main(void)
{
    int file = memfd_create("file", 0);
    try_it("private anonymous", MAP_PRIVATE | MAP_ANONYMOUS, -1);
    try_it("shared anonymous", MAP_SHARED | MAP_ANONYMOUS, -1);
    try_it("shared file", MAP_SHARED, file);
    try_it("private file", MAP_PRIVATE, file);
    return 0;
}

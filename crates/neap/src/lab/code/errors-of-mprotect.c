#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static void try_it(const char *what, char *start, size_t len, int prot)
{
    printf("%s: %s\n", what, mprotect(start, len, prot) ? strerror(errno) : "success");
}

int main(void)
{
    int file = open("/proc/self/exe", O_RDONLY);
    char *of_file = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    char *three = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(three + 4096, 4096);
    try_it("writable, of a file open for reading", of_file, 4096, PROT_READ | PROT_WRITE);
    try_it("off a page", three + 1, 4096, PROT_READ);
    try_it("over a hole", three, 3 * 4096, PROT_READ);
    three[8192] = 1;
    puts("behind the hole nothing has changed");
    return 0;
}

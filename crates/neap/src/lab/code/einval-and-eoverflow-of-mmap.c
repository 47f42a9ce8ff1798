#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void try_it(const char *what, size_t len, int flags, int file, long offset)
{
    /* The call itself: the C library checks the offset before the kernel does. */
    long map = syscall(SYS_mmap, NULL, len, PROT_READ, flags, file, offset);
    printf("%s: %s\n", what, map == -1 ? strerror(errno) : "success");
}

int main(void)
{
    int file = memfd_create("file", 0), anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    try_it("0 bytes", 0, anonymous, -1, 0);
    try_it("100 bytes", 100, anonymous, -1, 0);
    try_it("2 to the 63 bytes", 1UL << 63, anonymous, -1, 0);
    try_it("offset 1", 4096, MAP_SHARED, file, 1);
    try_it("offset -4096", 4096, MAP_SHARED, file, -4096);
    return 0;
}

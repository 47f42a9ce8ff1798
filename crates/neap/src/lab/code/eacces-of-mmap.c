#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void try_it(const char *what, int prot, int flags, int file)
{
    void *map = mmap(NULL, 4096, prot, flags, file, 0);
    printf("%s: %s\n", what, map == MAP_FAILED ? strerror(errno) : "success");
}

int main(void)
{
    char path[] = "/tmp/eacces-XXXXXX";
    if (mkstemp(path) < 0)
        return 1;
    int reading = open(path, O_RDONLY), writing = open(path, O_WRONLY);
    unlink(path);
    try_it("O_WRONLY, shared W", PROT_WRITE, MAP_SHARED, writing);
    try_it("O_RDONLY, shared RW", PROT_READ | PROT_WRITE, MAP_SHARED, reading);
    try_it("O_RDONLY, private RW", PROT_READ | PROT_WRITE, MAP_PRIVATE, reading);
    return 0;
}

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void try_it(const char *what, int flags, int file)
{
    void *map = mmap(NULL, 4096, PROT_READ, flags, file, 0);
    printf("%s: %s\n", what, map == MAP_FAILED ? strerror(errno) : "success");
}

int main(void)
{
    char path[] = "/tmp/validate-XXXXXX";
    int file = mkstemp(path), unknown = 1 << 24;
    unlink(path);
    try_it("MAP_SHARED, unknown flag", MAP_SHARED | unknown, file);
    try_it("MAP_SHARED_VALIDATE, unknown flag", MAP_SHARED_VALIDATE | unknown, file);
    try_it("MAP_SHARED_VALIDATE, MAP_SYNC", MAP_SHARED_VALIDATE | MAP_SYNC, file);
    try_it("MAP_SHARED_VALIDATE, anonymous", MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1);
    return 0;
}

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

static void try_it(const char *what, int prot, int flags)
{
    void *map = mmap(NULL, 1 << 20, prot, flags | MAP_ANONYMOUS, -1, 0);
    printf("  %s: %s\n", what, map == MAP_FAILED ? strerror(errno) : "success");
}

static void try_all(const char *name, int resource, rlim_t bytes)
{
    struct rlimit old, limit;
    getrlimit(resource, &old);
    limit = old;
    limit.rlim_cur = bytes;
    puts(name);
    setrlimit(resource, &limit);
    try_it("private writable", PROT_READ | PROT_WRITE, MAP_PRIVATE);
    try_it("private read-only", PROT_READ, MAP_PRIVATE);
    try_it("shared writable", PROT_READ | PROT_WRITE, MAP_SHARED);
    setrlimit(resource, &old);
}

int main(void)
{
    try_all("RLIMIT_DATA 4096", RLIMIT_DATA, 4096);
    try_all("RLIMIT_AS 1 MiB", RLIMIT_AS, 1 << 20);
    return 0;
}

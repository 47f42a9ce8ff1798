#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

static void map(const char *what, int protection, int sharing)
{
    void *at = mmap(NULL, 1 << 20, protection, sharing | MAP_ANONYMOUS, -1, 0);
    printf("%s: %s\n", what, at == MAP_FAILED ? strerror(errno) : "success");
}

int main(void)
{
    struct rlimit limit;
    printf("stdio takes its buffer now\n");
    getrlimit(RLIMIT_DATA, &limit);
    limit.rlim_cur = 4096;
    setrlimit(RLIMIT_DATA, &limit);
    map("private, writable", PROT_READ | PROT_WRITE, MAP_PRIVATE);
    map("private, read-only", PROT_READ, MAP_PRIVATE);
    map("shared, writable", PROT_READ | PROT_WRITE, MAP_SHARED);
    void *block = malloc(64 << 20);
    printf("malloc(64 MiB): %s\n", block == NULL ? strerror(errno) : "success");
    free(block);
    return 0;
}

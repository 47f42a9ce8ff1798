#define _DEFAULT_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define SIZE (32UL << 20)

static void try(const char *what, int prot, int flags)
{
    void *map = mmap(NULL, SIZE, prot, flags | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        perror(what);
    else
        printf("%s: success\n", what);
}

int main(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_DATA, &limit) != 0)
        return 1;
    limit.rlim_cur = 16 << 20;
    if (setrlimit(RLIMIT_DATA, &limit) != 0) {
        perror("setrlimit");
        return 1;
    }
    try("private", PROT_READ | PROT_WRITE, MAP_PRIVATE);
    try("private, NORESERVE", PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);
    try("private, read-only", PROT_READ, MAP_PRIVATE);
    try("shared", PROT_READ | PROT_WRITE, MAP_SHARED);
    return 0;
}

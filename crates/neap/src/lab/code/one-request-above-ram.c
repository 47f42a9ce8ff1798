#define _DEFAULT_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

static void try(const char *what, size_t len, int prot, int flags)
{
    void *map = mmap(NULL, len, prot, flags | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        perror(what);
    else
        printf("%s: success\n", what);
    if (map != MAP_FAILED)
        munmap(map, len);
}

int main(void)
{
    struct sysinfo info;
    if (sysinfo(&info) != 0)
        return 1;
    size_t all = (info.totalram + info.totalswap) * info.mem_unit;
    int writable = PROT_READ | PROT_WRITE;
    try("as much as there is", all, writable, MAP_PRIVATE);
    try("a page more", all + 4096, writable, MAP_PRIVATE);
    try("a page more, shared", all + 4096, writable, MAP_SHARED);
    try("a page more, read-only", all + 4096, PROT_READ, MAP_PRIVATE);
    try("a page more, NORESERVE", all + 4096, writable, MAP_PRIVATE | MAP_NORESERVE);
    return 0;
}

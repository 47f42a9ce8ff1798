#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void try_it(const char *what, void *address, int prot, int flags, int file)
{
    void *map = mmap(address, 4096, prot, flags, file, 0);
    printf("%s: %s\n", what, map == MAP_FAILED ? strerror(errno) : "success");
}

int main(void)
{
    int memfd = memfd_create("sealed", MFD_ALLOW_SEALING), status = open("/proc/self/status", O_RDONLY);
    if (ftruncate(memfd, 4096) != 0 || fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE) != 0)
        return 1;
    try_it("F_SEAL_WRITE", NULL, PROT_READ | PROT_WRITE, MAP_SHARED, memfd);
    try_it("PROT_EXEC on noexec", NULL, PROT_READ | PROT_EXEC, MAP_PRIVATE, status);
    /* Root may map address 0. */
    if (geteuid() != 0)
        try_it("address 0", NULL, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
    return 0;
}

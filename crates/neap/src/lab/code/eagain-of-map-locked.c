#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* As an unprivileged user: root may lock as much as it likes. */
int main(void)
{
    for (rlim_t bytes = 65536;; bytes = 0) {
        struct rlimit limit = {bytes, bytes};
        setrlimit(RLIMIT_MEMLOCK, &limit);
        int flags = MAP_PRIVATE | MAP_ANONYMOUS;
        void *locked = mmap(NULL, 1 << 20, PROT_READ, flags | MAP_LOCKED, -1, 0);
        printf("limit %5lu: MAP_LOCKED: %s", (unsigned long)bytes,
               locked == MAP_FAILED ? strerror(errno) : "success");
        void *plain = mmap(NULL, 1 << 20, PROT_READ, flags, -1, 0);
        printf(", mlock: %s\n", mlock(plain, 1 << 20) ? strerror(errno) : "success");
        if (bytes == 0)
            return 0;
    }
}

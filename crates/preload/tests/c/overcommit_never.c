/* proc_sys_vm(5), overcommit_memory = 2: the kernel promises no more than there is. What the heap has mapped
   and does not use would count, so it maps little of that; what cannot be promised is NULL with ENOMEM. The
   caller has set the mode and restores it. */
#include "check.h"

static size_t kib(const char *path, const char *name) {
    long long number = proc_number(path, name);
    CHECK(number >= 0);
    return (size_t)number;
}

int main(void) {
    int fd = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
    char mode = 0;
    CHECK(fd >= 0 && read(fd, &mode, 1) == 1 && mode == '2');
    /* Private writable memory that counts: all that this program may write, stacks and libraries included. */
    free(malloc(100));
    CHECK_AT_MOST(kib("/proc/self/status", "\nVmData:"), 24 * 1024);
    enum { BLOCKS = 40000 };
    static void *blocks[BLOCKS];
    for (int round = 0; round < 3; round++) {
        size_t bytes = 0;
        for (size_t i = 0; i < BLOCKS; i++) {
            CHECK((blocks[i] = malloc(i % 4000 + 1)) != NULL);
            memset(blocks[i], 1, i % 4000 + 1);
            bytes += i % 4000 + 1;
        }
        CHECK_AT_MOST(kib("/proc/self/status", "\nVmData:") * KIB, bytes * 3 / 2 + 32 * MIB);
        for (size_t i = 0; i < BLOCKS; i++)
            free(blocks[i]);
    }
    size_t limit = kib("/proc/meminfo", "\nCommitLimit:") * KIB;
    for (int round = 0; round < 3; round++) {
        errno = 0;
        CHECK(malloc(OPAQUE(limit + GIB)) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(calloc(limit / 4096 + 1, 8192) == NULL && errno == ENOMEM);
        char *block = malloc(50 * MIB);
        CHECK(block != NULL);
        memset(block, 1, 50 * MIB);
        errno = 0;
        CHECK(realloc(block, limit + GIB) == NULL && errno == ENOMEM);
        CHECK(block[0] == 1 && block[50 * MIB - 1] == 1);
        free(block);
    }
    return 0;
}

/* getrlimit(2), RLIMIT_DATA: since Linux 4.7 it counts private writable mappings as well as the break.
   When it is used up malloc returns NULL with ENOMEM, whatever the backend; after frees, and after the
   limit is raised, there is memory again. */
#include "check.h"

static size_t exhaust(size_t size, void ***list) {
    size_t total = 0;
    for (;;) {
        errno = 0;
        void **block = malloc(size);
        if (block == NULL) {
            CHECK(errno == ENOMEM);
            return total;
        }
        *block = *list;
        *list = block;
        total += size;
    }
}

static void release(void **list) {
    while (list != NULL) {
        void **next = *list;
        free(list);
        list = next;
    }
}

int main(int argc, char **argv) {
    struct rlimit limit = {128 * MIB, RLIM_INFINITY};
    if (argc == 1) {
        CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
        char *arguments[] = {argv[0], "limited", NULL};
        execv("/proc/self/exe", arguments);
        CHECK(!"exec");
    }
    if (mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        SKIP("this kernel does not count mappings for RLIMIT_DATA\n");
    static const size_t sizes[] = {100, 3000, 70 * KIB, 700 * KIB, 5 * MIB, 33 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void **list = NULL;
        CHECK_AT_LEAST(exhaust(sizes[i], &list), 60 * MIB);
        errno = 0;
        CHECK(calloc(1, GIB) == NULL && errno == ENOMEM);
        release(list);
    }
    void **full = NULL;
    exhaust(1000, &full);
    limit.rlim_cur = 512 * MIB;
    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
    void **more = NULL;
    CHECK_AT_LEAST(exhaust(100 * KIB, &more), 250 * MIB);
    release(more);
    release(full);
    /* Lowered below what is in use: nothing new, but what there is stays and can be freed. */
    char *kept = malloc(40 * MIB);
    CHECK(kept != NULL);
    memset(kept, 7, 40 * MIB);
    limit.rlim_cur = MIB;
    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
    errno = 0;
    CHECK(malloc(OPAQUE(GIB)) == NULL && errno == ENOMEM);
    CHECK(kept[0] == 7 && kept[40 * MIB - 1] == 7);
    free(kept);
    return 0;
}

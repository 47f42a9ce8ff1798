/* getrlimit(2), RLIMIT_AS: when address space runs out malloc returns NULL with ENOMEM; after frees the
   program goes on. The limit holds from before the library is loaded, then also when set later. */
#include "check.h"

static void exhaust(size_t size, size_t at_least) {
    void **list = NULL;
    size_t total = 0;
    for (;;) {
        errno = 0;
        void **block = malloc(size);
        if (block == NULL) {
            CHECK(errno == ENOMEM);
            break;
        }
        *block = list;
        list = block;
        total += size;
    }
    CHECK_AT_LEAST(total, at_least);
    errno = 0;
    CHECK(calloc(1, GIB) == NULL && errno == ENOMEM);
    void **grown = realloc(list, GIB);
    CHECK(grown == NULL && errno == ENOMEM);
    while (list != NULL) {
        void **next = *list;
        free(list);
        list = next;
    }
}

int main(int argc, char **argv) {
    struct rlimit limit = {512 * MIB, RLIM_INFINITY};
    if (argc == 1) {
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
        char *arguments[] = {argv[0], "limited", NULL};
        execv("/proc/self/exe", arguments);
        CHECK(!"exec");
    }
    size_t sizes[] = {64 * KIB, 1000, 20 * MIB, 40 * MIB, 64, 300 * KIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        exhaust(sizes[i], 250 * MIB);
    void *block = malloc(100 * MIB);
    CHECK(block != NULL);
    free(block);

    /* Lifted, then tightened below what is mapped. */
    limit.rlim_cur = RLIM_INFINITY;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK((block = malloc(600 * MIB)) != NULL);
    limit.rlim_cur = 64 * MIB;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(malloc(OPAQUE(GIB)) == NULL && errno == ENOMEM);
    free(block);
    exhaust(5000, 0);
    limit.rlim_cur = RLIM_INFINITY;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK((block = malloc(600 * MIB)) != NULL);
    free(block);
    return 0;
}

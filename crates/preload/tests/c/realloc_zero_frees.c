/* realloc(p, 0) frees p and returns NULL, as in glibc; that is no error, so errno stays.
   malloc(3): "If size is equal to zero, and ptr is not NULL, then the call is equivalent to free(ptr)". */
#include "check.h"

int main(void) {
    size_t sizes[] = {1, 100, 5000, 100000, 2 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t before = 0;
        size_t rounds = 256 * MIB / (sizes[i] + 64) + 10;
        if (rounds > 500000)
            rounds = 500000;
        for (size_t round = 0; round < rounds; round++) {
            char *block = malloc(sizes[i]);
            CHECK(block != NULL);
            block[0] = block[sizes[i] - 1] = 1;
            errno = 4711;
            void *after = round % 3 == 0   ? realloc(block, OPAQUE(0))
                          : round % 3 == 1 ? reallocarray(block, OPAQUE(0), 8)
                                           : reallocarray(block, 8, OPAQUE(0));
            CHECK(after == NULL);
            CHECK(errno == 4711);
            if (round == 9)
                before = resident();
        }
        /* Were the blocks leaked, half of some 256 MiB would be resident. */
        CHECK_AT_MOST(resident(), before + 12 * MIB);
    }
    return 0;
}

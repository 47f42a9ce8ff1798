/* posix_memalign(3): the alignment "must be a power of two and a multiple of sizeof(void *)", else
   EINVAL; errno is not set, and *memptr is not written on failure. */
#include "check.h"

int main(void) {
    size_t bad[] = {0, 1, 2, 3, 4, 5, 7, 9, 12, 20, 24, 48, 100, 4095, 4097, SIZE_MAX, SIZE_MAX / 2};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *out = &out;
        errno = 4711;
        CHECK(posix_memalign(&out, OPAQUE(bad[i]), 100) == EINVAL);
        CHECK(out == &out);
        CHECK(errno == 4711);
    }
    for (size_t alignment = 8; alignment <= 4 * MIB; alignment *= 2) {
        size_t sizes[] = {0, 1, alignment - 1, alignment, alignment + 1, alignment * 3};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char *one = NULL, *two = NULL;
            CHECK(posix_memalign((void **)&one, alignment, sizes[i]) == 0);
            CHECK(posix_memalign((void **)&two, alignment, sizes[i]) == 0);
            CHECK(one != NULL && two != NULL && one != two);
            CHECK((uintptr_t)one % alignment == 0 && (uintptr_t)two % alignment == 0);
            memset(one, 1, sizes[i]);
            memset(two, 2, sizes[i]);
            CHECK(sizes[i] == 0 || (one[0] == 1 && one[sizes[i] - 1] == 1 && two[0] == 2));
            free(one);
            free(two);
        }
    }
    return 0;
}

/* aligned_alloc(3): the alignment must be a power of two, else EINVAL (glibc since 2.38). The size
   need not be a multiple of it (C17). */
#include "check.h"

int main(void) {
    size_t bad[] = {0, 3, 5, 6, 7, 12, 24, 48, 100, 4095, 4097, SIZE_MAX, SIZE_MAX / 2};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        errno = 0;
        CHECK(aligned_alloc(OPAQUE(bad[i]), 96) == NULL);
        CHECK(errno == EINVAL);
    }
    for (size_t alignment = 1; alignment <= 2 * MIB; alignment *= 2) {
        for (size_t size = 0; size < 3 * alignment + 20; size += alignment / 2 + 7) {
            char *block = aligned_alloc(alignment, size);
            CHECK(block != NULL);
            CHECK((uintptr_t)block % alignment == 0);
            CHECK(malloc_usable_size(block) >= size);
            memset(block, 3, size);
            free(block);
        }
    }
    return 0;
}

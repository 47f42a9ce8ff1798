/* C23 7.24.3.4 and .5: free_sized and free_aligned_sized free what malloc and aligned_alloc returned
   for that size; of NULL they do nothing. cfree is free under the name of SunOS. */
#include "check.h"

extern void free_sized(void *, size_t) __attribute__((weak));
extern void free_aligned_sized(void *, size_t, size_t) __attribute__((weak));
extern void cfree(void *) __attribute__((weak));

int main(void) {
    CHECK(free_sized != NULL && free_aligned_sized != NULL && cfree != NULL);
    size_t before = 0;
    for (int round = 0; round < 300; round++) {
        for (size_t size = 0; size < 2 * MIB; size = size * 2 + 3) {
            char *block = round % 2 ? malloc(size) : calloc(1, size);
            char *aligned = aligned_alloc(256, size);
            char *third = malloc(size);
            CHECK(block != NULL && aligned != NULL && third != NULL);
            memset(block, 1, size), memset(aligned, 2, size), memset(third, 3, size);
            errno = 4711;
            free_sized(block, size);
            free_aligned_sized(aligned, 256, size);
            cfree(third);
            CHECK(errno == 4711);
        }
        if (round == 10)
            before = resident();
    }
    free_sized(NULL, 100);
    free_aligned_sized(NULL, 64, 64);
    cfree(NULL);
    CHECK_AT_MOST(resident(), before + 24 * MIB);
    return 0;
}

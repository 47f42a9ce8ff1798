/* realloc of a large block moves page tables, not bytes: mremap(2) "can be used to implement a very
   efficient realloc(3)". A copy would have old and new resident at one time. */
#include "check.h"

int main(void) {
    size_t base = resident();
    char *block = malloc(64 * MIB);
    CHECK(block != NULL);
    for (size_t i = 0; i < 64 * MIB; i += 64)
        block[i] = (char)(i >> 12);
    CHECK((block = realloc(block, 128 * MIB)) != NULL);
    CHECK_AT_MOST(resident_peak(), base + 64 * MIB + 24 * MIB);
    CHECK_AT_MOST(resident(), base + 64 * MIB + 24 * MIB);
    for (size_t i = 0; i < 64 * MIB; i += 64)
        CHECK(block[i] == (char)(i >> 12));
    free(block);

    /* Growth step by step, every step written: the peak stays near the last size. */
    size_t size = 4 * MIB, written = 0;
    CHECK((block = malloc(size)) != NULL);
    for (;;) {
        memset(block + written, 5, size - written);
        written = size;
        if (size > 256 * MIB)
            break;
        size += size / 4;
        CHECK((block = realloc(block, size)) != NULL);
    }
    CHECK_AT_MOST(resident_peak(), base + size + 80 * MIB);
    for (size_t i = 0; i < size; i += 4096)
        CHECK(block[i] == 5);
    /* And back: what is cut off goes away. */
    CHECK((block = realloc(block, 64 * MIB)) != NULL);
    CHECK_WITHIN(2000, resident() < base + 64 * MIB + 24 * MIB);
    free(block);
    return 0;
}

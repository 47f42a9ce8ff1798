/* mallinfo(3): uordblks is what the program has, fordblks what is free, hblks and hblkhd the mappings
   of their own; mallinfo holds the same numbers cut to int. */
#include "check.h"

int main(void) {
    enum { BLOCKS = 64 * 1024 };
    void **blocks = own_pages(BLOCKS * sizeof *blocks);
    struct mallinfo2 start = mallinfo2();
    for (size_t i = 0; i < BLOCKS; i++)
        CHECK((blocks[i] = malloc(1000)) != NULL);
    struct mallinfo2 full = mallinfo2();
    CHECK_AT_LEAST(full.uordblks, start.uordblks + BLOCKS * (size_t)1000);
    CHECK_AT_MOST(full.uordblks, start.uordblks + BLOCKS * (size_t)1300);
    CHECK_AT_LEAST(full.arena + full.hblkhd, full.uordblks);
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    struct mallinfo2 empty = mallinfo2();
    CHECK_AT_MOST(empty.uordblks, start.uordblks + BLOCKS * (size_t)100);
    CHECK_AT_MOST(empty.fordblks, empty.arena);

    void *mapping = malloc(100 * MIB);
    CHECK(mapping != NULL);
    struct mallinfo2 mapped = mallinfo2();
    CHECK(mapped.hblks == empty.hblks + 1);
    CHECK_AT_LEAST(mapped.hblkhd, empty.hblkhd + 100 * MIB);
    CHECK_AT_MOST(mapped.hblkhd, empty.hblkhd + 101 * MIB);
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct mallinfo old = mallinfo();
    CHECK(old.hblks == (int)mapped.hblks);
    CHECK(old.hblkhd == (int)mapped.hblkhd);
    free(mapping);
    CHECK(mallinfo2().hblks == empty.hblks);
    return 0;
}

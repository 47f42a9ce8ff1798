/* malloc_trim(3) "attempts to release free memory from the heap"; it returns 1 when it released some
   and 0 when there was none to release. It acts before it returns. */
#include "check.h"

int main(void) {
    enum { BLOCKS = 256 * 1024 };
    void **blocks = own_pages(BLOCKS * sizeof *blocks);
    size_t before = resident();
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(500)) != NULL);
        memset(blocks[i], 1, 500);
    }
    CHECK_AT_LEAST(resident(), before + 120 * MIB);
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    CHECK(malloc_trim(0) == 1);
    CHECK_AT_MOST(resident(), before + 8 * MIB);
    CHECK(malloc_trim(0) == 0 || malloc_trim(0) == 0);
    return 0;
}

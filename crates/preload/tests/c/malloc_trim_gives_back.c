/* malloc_trim(3) "attempts to release free memory from the heap"; it returns 1 when it released some
   and 0 when there was none to release. It acts before it returns. That goes for free pages between blocks in use,
   too, of slabs that the calling thread would take its next blocks from. */
#include "check.h"

/* Pages between others that are in use: half of 64 MiB. */
static void between_others(void) {
    enum { BLOCKS = 128 * 1024 };
    char **blocks = own_pages(BLOCKS * sizeof *blocks);
    size_t before = resident();
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(512)) != NULL);
        memset(blocks[i], (int)i, 512);
    }
    CHECK_AT_LEAST(resident(), before + 60 * MIB);
    for (size_t i = 0; i < BLOCKS; i++)
        if (((size_t)blocks[i] >> 12) % 2)
            free(blocks[i]);
    CHECK(malloc_trim(0) == 1);
    CHECK_AT_MOST(resident(), before + 34 * MIB);
    for (size_t i = 0; i < BLOCKS; i++)
        if (((size_t)blocks[i] >> 12) % 2 == 0) {
            CHECK(blocks[i][0] == (char)i && blocks[i][511] == (char)i);
            free(blocks[i]);
        }
}

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
    /* In checking mode free blocks keep their poison. */
    const char *check = getenv("NEAP_CHECK");
    if (!check || strcmp(check, "1") != 0)
        between_others();
    return 0;
}

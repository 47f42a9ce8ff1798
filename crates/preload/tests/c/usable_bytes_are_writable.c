/* malloc_usable_size is at least what was asked for, and every byte of it may be written without
   harm to a neighbour. malloc_usable_size(3); of NULL it is 0. systemd and _FORTIFY_SOURCE rely on it. */
#include "check.h"

enum { BLOCKS = 64 };

static void check_size(size_t size) {
    unsigned char *blocks[BLOCKS];
    size_t usable[BLOCKS];
    size_t count = size > 100000 ? 4 : BLOCKS;
    for (size_t i = 0; i < count; i++) {
        switch (i % 4) {
        case 0: blocks[i] = malloc(size); break;
        case 1: blocks[i] = calloc(1, size); break;
        case 2: blocks[i] = realloc(malloc(16), size + 1); break;
        case 3: blocks[i] = memalign(128, size); break;
        }
        CHECK(blocks[i] != NULL);
        usable[i] = malloc_usable_size(blocks[i]);
        CHECK_AT_LEAST(usable[i], size);
        memset(blocks[i], (int)i + 1, usable[i]);
    }
    for (size_t i = 0; i < count; i++) {
        CHECK(malloc_usable_size(blocks[i]) == usable[i]);
        for (size_t j = 0; j < usable[i]; j++)
            CHECK(blocks[i][j] == (unsigned char)(i + 1));
        free(blocks[i]);
    }
}

int main(void) {
    CHECK(malloc_usable_size(NULL) == 0);
    for (size_t size = 0; size < 1100; size++)
        check_size(size);
    for (size_t size = 1100; size < 9 * MIB; size = size * 9 / 8)
        check_size(size);
    check_size(40 * MIB);
    return 0;
}

/* A request for nothing returns a pointer of its own that free takes. malloc(3): "If size is 0, then
   malloc() returns a unique pointer value that can later be successfully passed to free()". */
#include "check.h"

enum { BLOCKS = 5000 };
static void *blocks[BLOCKS];

static int by_address(const void *a, const void *b) {
    uintptr_t x = (uintptr_t) * (void *const *)a, y = (uintptr_t) * (void *const *)b;
    return (x > y) - (x < y);
}

int main(void) {
    for (int i = 0; i < BLOCKS; i++) {
        switch (i % 6) {
        case 0: blocks[i] = malloc(0); break;
        case 1: blocks[i] = calloc(0, 8); break;
        case 2: blocks[i] = calloc(8, 0); break;
        case 3: blocks[i] = realloc(NULL, 0); break;
        case 4: blocks[i] = memalign(64, 0); break;
        case 5: CHECK(posix_memalign(&blocks[i], 16, 0) == 0); break;
        }
        CHECK(blocks[i] != NULL);
    }
    qsort(blocks, BLOCKS, sizeof *blocks, by_address);
    for (int i = 1; i < BLOCKS; i++)
        CHECK(blocks[i] != blocks[i - 1]);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    return 0;
}

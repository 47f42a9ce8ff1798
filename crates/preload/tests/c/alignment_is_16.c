/* Every block, however small, starts at a multiple of 16. malloc(3): "suitably aligned for any type
   that fits into the requested size or less"; neap, like glibc, aligns for max_align_t always. */
#include "check.h"
#include <stddef.h>

static void *aligned(void *block) {
    CHECK(block != NULL);
    CHECK((uintptr_t)block % 16 == 0);
    return block;
}

int main(void) {
    _Static_assert(_Alignof(max_align_t) <= 16, "max_align_t");
    static void *blocks[6];
    for (size_t size = 0; size < 70000; size += size < 2000 ? 1 : 997) {
        blocks[0] = aligned(malloc(size));
        blocks[1] = aligned(calloc(1, size));
        blocks[2] = aligned(realloc(aligned(malloc(1)), size + 1));
        blocks[3] = aligned(aligned_alloc(1, size));
        blocks[4] = aligned(memalign(2, size));
        CHECK(posix_memalign(&blocks[5], 8, size) == 0);
        aligned(blocks[5]);
        for (int i = 0; i < 6; i++)
            free(blocks[i]);
    }
    for (size_t size = 100000; size < 100 * MIB; size = size * 3 / 2 + 1)
        free(aligned(malloc(size)));
    return 0;
}

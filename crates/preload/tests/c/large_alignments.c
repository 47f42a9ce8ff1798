/* Any power of two may be an alignment, also one above every size the heap keeps; such blocks are
   freed and reused like others. */
#include "check.h"

int main(void) {
    for (int round = 0; round < 50; round++) {
        for (size_t alignment = 32; alignment <= 64 * MIB; alignment *= 2) {
            size_t sizes[] = {1, 100, alignment < MIB ? alignment + 1 : 5000};
            for (int i = 0; i < 3; i++) {
                char *block = aligned_alloc(alignment, sizes[i]);
                CHECK(block != NULL && (uintptr_t)block % alignment == 0);
                memset(block, 1, sizes[i]);
                if (i == 1) {
                    CHECK((block = realloc(block, 3000)) != NULL);
                    CHECK(block[0] == 1 && block[99] == 1);
                }
                free(block);
            }
        }
    }
    char *block = aligned_alloc(GIB, 100);
    CHECK(block == NULL || (uintptr_t)block % GIB == 0);
    free(block);
    CHECK_AT_MOST(resident(), 64 * MIB);
    return 0;
}

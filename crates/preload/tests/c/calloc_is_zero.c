/* calloc returns zeroed memory, also where the program has freed dirty blocks before.
   malloc(3): "The memory is set to zero." */
#include "check.h"

static void check_zero(const unsigned char *block, size_t size) {
    for (size_t i = 0; i < size; i++)
        CHECK(block[i] == 0);
}

int main(void) {
    uint64_t random = 1234567;
    enum { BLOCKS = 256 };
    static unsigned char *blocks[BLOCKS];
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            size_t size = random_size(&random);
            CHECK((blocks[i] = round % 2 ? calloc(size, 1) : calloc(1, size)) != NULL);
            check_zero(blocks[i], malloc_usable_size(blocks[i]) < size ? 0 : size);
            memset(blocks[i], 0xa5, malloc_usable_size(blocks[i]));
        }
        for (int i = 0; i < BLOCKS; i++)
            free(blocks[i]);
        /* From the second half on, some of what comes back has been given to the kernel meanwhile. */
        if (round >= 10)
            sleep_ms(30);
    }
    for (size_t size = 512 * KIB; size <= 64 * MIB; size *= 2) {
        for (int again = 0; again < 3; again++) {
            unsigned char *block = calloc(1, size);
            CHECK(block != NULL);
            check_zero(block, size);
            memset(block, 0xff, size);
            free(block);
        }
    }
    return 0;
}

/* realloc keeps the bytes up to the smaller of both sizes, wherever the block comes from.
   malloc(3): "The contents of the memory will be unchanged in the range from the start of the region
   up to the minimum of the old and new sizes." */
#include "check.h"

static unsigned char at(size_t i, unsigned seed) { return (unsigned char)(i * 131 + (i >> 8) * 17 + seed); }

static void fill(unsigned char *block, size_t from, size_t to, unsigned seed) {
    for (size_t i = from; i < to; i++)
        block[i] = at(i, seed);
}

static void check(const unsigned char *block, size_t length, unsigned seed) {
    for (size_t i = 0; i < length; i++)
        CHECK(block[i] == at(i, seed));
}

int main(void) {
    uint64_t random = 88172645463325252ULL;
    for (unsigned chain = 0; chain < 300; chain++) {
        size_t size = random_size(&random);
        unsigned char *block = chain % 3 == 0 ? malloc(size) : chain % 3 == 1 ? calloc(1, size) : memalign(1024, size);
        CHECK(block != NULL);
        fill(block, 0, size, chain);
        for (int step = 0; step < 12; step++) {
            size_t next = random_size(&random) * (step == 7 ? 32 : 1);
            block = step % 2 ? reallocarray(block, 1, next) : realloc(block, next);
            CHECK(block != NULL);
            check(block, next < size ? next : size, chain);
            fill(block, 0, next, chain);
            size = next;
        }
        free(block);
    }
    /* Through every kind of block: slots, runs of pages, extents, mappings of their own, and back. */
    unsigned char *block = malloc(1);
    block[0] = at(0, 9);
    size_t size = 1;
    for (size_t next = 2; next <= 128 * MIB; next *= 2) {
        CHECK((block = realloc(block, next)) != NULL);
        check(block, size < 4096 ? size : 4096, 9);
        CHECK(block[size - 1] == at(size - 1, 9));
        fill(block, next < 8192 ? size : next - 4096, next, 9);
        if (next >= 8192)
            fill(block, size, size + 64, 9);
        size = next;
    }
    for (; size > 64; size /= 2) {
        fill(block, 0, 64, 9);
        CHECK((block = realloc(block, size / 2)) != NULL);
        check(block, 32, 9);
    }
    free(block);
    return 0;
}

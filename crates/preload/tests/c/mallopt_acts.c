/* mallopt(3): requests of at least M_MMAP_THRESHOLD bytes get a mapping of their own, M_MMAP_MAX
   limits how many there are at one time; mallinfo2's hblks and hblkhd count them. mallopt returns 1. */
#include "check.h"

static size_t own_mappings(void) { return mallinfo2().hblks; }

int main(void) {
    size_t start = own_mappings();
    CHECK(mallopt(M_MMAP_THRESHOLD, 128 * KIB) == 1);
    void *blocks[8];
    size_t bytes = mallinfo2().hblkhd;
    for (size_t i = 0; i < 8; i++) {
        CHECK((blocks[i] = malloc(256 * KIB)) != NULL);
        CHECK(own_mappings() == start + i + 1);
    }
    CHECK_AT_LEAST(mallinfo2().hblkhd, bytes + 8 * 256 * KIB);
    void *below = malloc(64 * KIB);
    CHECK(below != NULL && own_mappings() == start + 8);
    free(below);
    for (size_t i = 0; i < 8; i++)
        free(blocks[i]);
    CHECK(own_mappings() == start);
    CHECK(mallinfo2().hblkhd == bytes);

    CHECK(mallopt(M_MMAP_MAX, (int)start + 2) == 1);
    for (size_t i = 0; i < 8; i++) {
        CHECK((blocks[i] = malloc(MIB)) != NULL);
        memset(blocks[i], 1, MIB);
    }
    CHECK(own_mappings() == start + 2);
    for (size_t i = 0; i < 8; i++)
        free(blocks[i]);

    CHECK(mallopt(M_MMAP_MAX, 0) == 1);
    void *large = malloc(64 * MIB);
    CHECK(large != NULL && own_mappings() <= start);
    memset(large, 1, 64 * MIB);
    free(large);

    CHECK(mallopt(M_MMAP_MAX, 65536) == 1);
    CHECK(mallopt(M_MMAP_THRESHOLD, 16 * MIB) == 1);
    CHECK((large = malloc(4 * MIB)) != NULL && own_mappings() == start);
    free(large);
    CHECK((large = malloc(17 * MIB)) != NULL && own_mappings() == start + 1);
    free(large);

    CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1);
    CHECK(mallopt(M_TOP_PAD, 1 << 20) == 1);
    CHECK(mallopt(M_ARENA_MAX, 2) == 1);
    CHECK(mallopt(M_ARENA_TEST, 2) == 1);
    return 0;
}

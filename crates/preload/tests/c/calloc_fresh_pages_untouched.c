/* calloc does not write to pages that come fresh from the kernel and are zero already. */
#include "check.h"

int main(void) {
    free(malloc(1));
    size_t sizes[] = {300 * KIB, 3 * MIB, 24 * MIB, 256 * MIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t count = 256 * MIB / sizes[i];
        char **blocks = own_pages(count * sizeof *blocks + 1);
        size_t before = resident();
        for (size_t j = 0; j < count; j++)
            CHECK((blocks[j] = calloc(sizes[i] / 8, 8)) != NULL);
        CHECK_AT_MOST(resident(), before + 16 * MIB);
        for (size_t j = 0; j < count; j++) {
            CHECK(blocks[j][0] == 0 && blocks[j][sizes[i] / 2] == 0 && blocks[j][sizes[i] - 1] == 0);
            free(blocks[j]);
        }
    }
    return 0;
}

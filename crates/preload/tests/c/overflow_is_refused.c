/* calloc and reallocarray check the product of their arguments. malloc(3): "if the multiplication of
   nmemb and size would result in integer overflow, then calloc() returns an error", ENOMEM. */
#include "check.h"

int main(void) {
    struct {
        size_t count, size;
    } overflows[] = {
        {SIZE_MAX / 2 + 1, 2}, {2, SIZE_MAX / 2 + 1}, {(size_t)1 << 33, (size_t)1 << 33}, {SIZE_MAX, SIZE_MAX},
        {SIZE_MAX / 16 + 2, 16}, {3, SIZE_MAX / 3 + 1},
    };
    char *old = malloc(64);
    memset(old, 7, 64);
    for (size_t i = 0; i < sizeof overflows / sizeof *overflows; i++) {
        size_t count = OPAQUE(overflows[i].count), size = OPAQUE(overflows[i].size);
        errno = 0;
        CHECK(calloc(count, size) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(reallocarray(old, count, size) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(reallocarray(NULL, count, size) == NULL && errno == ENOMEM);
    }
    for (int i = 0; i < 64; i++)
        CHECK(old[i] == 7);
    free(old);
    return 0;
}

/* memalign takes any alignment and rounds it up to a power of two, as glibc does; one that cannot be
   rounded up is EINVAL. memalign(3), glibc's malloc.c. */
#include "check.h"

int main(void) {
    for (size_t alignment = 0; alignment < 5000; alignment += alignment < 200 ? 1 : 61) {
        size_t rounded = 16;
        while (rounded < alignment)
            rounded *= 2;
        char *block = memalign(alignment, 100);
        CHECK(block != NULL);
        CHECK((uintptr_t)block % rounded == 0);
        memset(block, 1, 100);
        free(block);
    }
    errno = 0;
    CHECK(memalign(OPAQUE(SIZE_MAX / 2 + 2), 1) == NULL && errno == EINVAL);
    errno = 0;
    CHECK(memalign(OPAQUE(SIZE_MAX), 1) == NULL && errno == EINVAL);
    return 0;
}

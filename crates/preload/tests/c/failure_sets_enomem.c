/* A request that cannot be met returns NULL with errno ENOMEM and leaves an old block as it was.
   malloc(3), posix_memalign(3): posix_memalign returns the error, sets neither errno nor *memptr. */
#include "check.h"

enum { MARK = 4711 };

#define REFUSED(call)             \
    do {                          \
        errno = MARK;             \
        CHECK((call) == NULL);    \
        CHECK(errno == ENOMEM);   \
    } while (0)

int main(void) {
    /* The last fits PTRDIFF_MAX, but no address space. */
    size_t too_much[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4096, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX,
                         PTRDIFF_MAX - 100000};
    char *old = malloc(100);
    memset(old, 42, 100);
    for (size_t i = 0; i < sizeof too_much / sizeof *too_much; i++) {
        size_t size = OPAQUE(too_much[i]);
        REFUSED(malloc(size));
        REFUSED(calloc(size, 1));
        REFUSED(calloc(1, size));
        REFUSED(realloc(NULL, size));
        REFUSED(realloc(old, size));
        REFUSED(reallocarray(old, size, 1));
        REFUSED(memalign(64, size));
        REFUSED(aligned_alloc(64, size));
        REFUSED(aligned_alloc(1 << 20, size));
        REFUSED(valloc(size));
        REFUSED(pvalloc(size));
        void *out = &out;
        errno = MARK;
        CHECK(posix_memalign(&out, 64, size) == ENOMEM);
        CHECK(out == &out);
        CHECK(errno == MARK);
    }
    for (int i = 0; i < 100; i++)
        CHECK(old[i] == 42);
    free(old);
    CHECK((old = malloc(100)) != NULL);
    free(old);
    return 0;
}

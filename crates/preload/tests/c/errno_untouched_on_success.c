/* A call that succeeds leaves errno alone, and free leaves it alone always.
   errno(3): "a function that succeeds is allowed to change errno"; neap is stricter, because programs
   read errno after cleaning up. free(3): "free() preserves errno" (POSIX.1-2024, glibc 2.33). */
#include "check.h"

enum { MARK = 4711 };
static const size_t sizes[] = {0, 1, 16, 100, 1000, 5000, 40000, 300000, 3 << 20, 40 << 20};

#define SUCCEEDS(call)            \
    do {                          \
        errno = MARK;             \
        CHECK((call) != NULL);    \
        CHECK(errno == MARK);     \
    } while (0)

static void release(void *block) {
    errno = MARK;
    free(block);
    CHECK(errno == MARK);
}

int main(void) {
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t size = sizes[i];
            void *a, *b, *c, *d, *e, *f;
            SUCCEEDS(a = malloc(size));
            SUCCEEDS(b = calloc(size, 1));
            SUCCEEDS(c = memalign(256, size));
            SUCCEEDS(d = aligned_alloc(64, size));
            SUCCEEDS(e = valloc(size));
            errno = MARK;
            CHECK(posix_memalign(&f, 4096, size) == 0);
            CHECK(errno == MARK);
            SUCCEEDS(a = realloc(a, size * 2 + 1));
            SUCCEEDS(b = realloc(b, size / 2 + 1));
            SUCCEEDS(c = reallocarray(c, size + 1, 3));
            errno = MARK;
            CHECK(malloc_usable_size(a) >= size * 2 + 1);
            CHECK(errno == MARK);
            release(a), release(b), release(c), release(d), release(e), release(f);
        }
    }
    release(NULL);
    errno = MARK;
    malloc_trim(0);
    CHECK(errno == MARK);
    CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1);
    CHECK(errno == MARK);
    (void)mallinfo2();
    CHECK(errno == MARK);
    return 0;
}

/* valloc aligns to a page; pvalloc also rounds the size up to whole pages. valloc(3), pvalloc(3). */
#include "check.h"

int main(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t size = 0; size < 20 * page; size += size < 100 ? 1 : 511) {
        char *whole = pvalloc(size);
        size_t rounded = (size + page - 1) / page * page;
        CHECK(whole != NULL && (uintptr_t)whole % page == 0);
        CHECK_AT_LEAST(malloc_usable_size(whole), rounded);
        memset(whole, 5, rounded);
        char *bytes = valloc(size);
        CHECK(bytes != NULL && (uintptr_t)bytes % page == 0);
        memset(bytes, 6, size);
        for (size_t i = 0; i < rounded; i++)
            CHECK(whole[i] == 5);
        free(whole);
        free(bytes);
    }
    errno = 0;
    CHECK(pvalloc(OPAQUE(SIZE_MAX - 100)) == NULL && errno == ENOMEM);
    return 0;
}

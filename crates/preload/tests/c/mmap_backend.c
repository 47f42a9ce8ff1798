/* By default memory comes from mmap(2), and the program break is the program's own. */
#include "check.h"

int main(void) {
    void *start = sbrk(0);
    void **blocks = own_pages(50000 * sizeof *blocks);
    for (size_t i = 0; i < 50000; i++)
        CHECK((blocks[i] = malloc(1000)) != NULL);
    void *large = malloc(20 * MIB);
    CHECK(large != NULL);
    CHECK(sbrk(0) == start);
    for (size_t i = 0; i < 50000; i++)
        free(blocks[i]);
    free(large);
    CHECK(sbrk(0) == start);
    return 0;
}

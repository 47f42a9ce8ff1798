/* mallopt(3): with M_PERTURB set to a value, malloc fills new blocks with the complement of its low
   byte; calloc's stay zero. */
#include "check.h"

int main(void) {
    CHECK(mallopt(M_PERTURB, 0x5a) == 1);
    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < 4 * MIB; size = size * 2 + 5) {
            unsigned char *block = malloc(size), *zero = calloc(size, 1);
            CHECK(block != NULL && zero != NULL);
            for (size_t i = 0; i < size; i++)
                CHECK(block[i] == (unsigned char)~0x5a && zero[i] == 0);
            free(block);
            free(zero);
        }
    }
    CHECK(mallopt(M_PERTURB, 0) == 1);
    return 0;
}

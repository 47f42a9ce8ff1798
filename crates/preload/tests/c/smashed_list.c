/* A write into freed blocks, where a heap may keep its list of them, stops the program at the latest
   when they are handed out again. argv[1]: the size. Prints the range of addresses. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 2);
    enum { BLOCKS = 512 };
    size_t size = strtoull(argv[1], NULL, 0);
    static char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        CHECK((blocks[i] = malloc(size)) != NULL);
    printf("%p\n", (void *)blocks[0]);
    fflush(stdout);
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    for (int i = 0; i < BLOCKS; i++)
        memset(OPAQUE(blocks[i]), 0x41, size);
    for (int i = 0; i < 100 * BLOCKS; i++)
        blocks[i % BLOCKS] = malloc(size);
    return 0;
}

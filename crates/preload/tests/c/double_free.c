/* The second free of a block stops the program. argv[1]: the size; argv[2]: how many other blocks are
   freed in between. Prints the address first. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 3);
    size_t size = strtoull(argv[1], NULL, 0), between = strtoull(argv[2], NULL, 0);
    void *others[64], *block = malloc(size);
    CHECK(block != NULL && between <= 64);
    for (size_t i = 0; i < between; i++)
        others[i] = malloc(size);
    printf("%p\n", block);
    fflush(stdout);
    free(block);
    for (size_t i = 0; i < between; i++)
        free(others[i]);
    free(OPAQUE(block));
    /* Where a freed list is only looked at in passing, looking comes now. */
    for (int i = 0; i < 100000; i++)
        others[i % 64] = malloc(size);
    return 0;
}

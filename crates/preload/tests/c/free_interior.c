/* free of an address inside a block stops the program. argv[1]: the size; argv[2]: the offset. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 3);
    char *block = malloc(strtoull(argv[1], NULL, 0));
    CHECK(block != NULL);
    block += strtoull(argv[2], NULL, 0);
    printf("%p\n", block);
    fflush(stdout);
    free(OPAQUE(block));
    return 0;
}

/* free of what no heap gave out stops the program. argv[1]: where the pointer points. */
#include "check.h"

static char variable[64] __attribute__((aligned(16)));

int main(int argc, char **argv) {
    CHECK(argc == 2);
    char local[64] __attribute__((aligned(16)));
    void *pointer = NULL;
    free(malloc(100));
    if (strcmp(argv[1], "stack") == 0)
        pointer = local;
    else if (strcmp(argv[1], "static") == 0)
        pointer = variable;
    else if (strcmp(argv[1], "code") == 0)
        pointer = (void *)main;
    else if (strcmp(argv[1], "mapping") == 0)
        pointer = own_pages(MIB);
    else if (strcmp(argv[1], "nonsense") == 0)
        pointer = (void *)(uintptr_t)0xdeadbeef0000;
    CHECK(pointer != NULL);
    printf("%p\n", pointer);
    fflush(stdout);
    free(OPAQUE(pointer));
    return 0;
}

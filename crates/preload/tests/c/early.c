/* The library that first_allocation_anywhere is linked with: initialised before libneap.so is. */
#include <stdlib.h>
#include <string.h>

static char *block;

static int answer(void) { return 42; }

static int (*resolve(void))(void) {
    free(malloc(200));
    return answer;
}
int early_answer(void) __attribute__((ifunc("resolve")));

__attribute__((constructor)) static void load(void) {
    block = malloc(70000);
    strcpy(block, "early");
}

const char *early_block(void) { return block; }

__attribute__((destructor)) static void unload(void) {
    free(block);
    free(malloc(100));
}

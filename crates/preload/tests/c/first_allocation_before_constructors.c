/* malloc works before any constructor has run: when ld.so resolves an IFUNC, and in .preinit_array.
   What was allocated then is valid for the life of the program. */
#include "check.h"

static char *early[3];
static int order;

static int answer(void) { return 42; }

static int (*resolve(void))(void) {
    void *block = malloc(100);
    free(block);
    return answer;
}
int indirect(void) __attribute__((ifunc("resolve")));

static void preinit(int argc, char **argv, char **environment) {
    (void)argc, (void)argv, (void)environment;
    CHECK(order++ == 0);
    CHECK((early[0] = malloc(40)) != NULL);
    CHECK((early[1] = calloc(1, 3 * MIB)) != NULL);
    CHECK((early[2] = realloc(NULL, 70000)) != NULL);
    strcpy(early[0], "before");
    early[1][3 * MIB - 1] = 7;
    memset(early[2], 1, 70000);
    void *aligned;
    CHECK(posix_memalign(&aligned, 4096, 100) == 0);
    free(aligned);
    CHECK((early[2] = realloc(early[2], 140000)) != NULL);
}
__attribute__((section(".preinit_array"), used)) static void (*preinit_entry)(int, char **, char **) = preinit;

__attribute__((constructor)) static void constructor(void) {
    CHECK(order++ == 1);
    free(malloc(1000));
}

int main(void) {
    CHECK(order == 2);
    CHECK(indirect() == 42);
    CHECK(strcmp(early[0], "before") == 0);
    CHECK(early[1][0] == 0 && early[1][3 * MIB - 1] == 7);
    CHECK(early[2][0] == 1 && early[2][69999] == 1);
    for (int i = 0; i < 3; i++)
        free(early[i]);
    return 0;
}

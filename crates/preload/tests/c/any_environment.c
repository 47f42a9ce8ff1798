/* What a program under a strange environment does: a little of everything, one line on standard output. */
#include "check.h"

int main(void) {
    void *blocks[2000];
    for (size_t i = 0; i < 2000; i++)
        CHECK((blocks[i] = malloc(i * 11)) != NULL);
    for (size_t i = 0; i < 2000; i++)
        free(blocks[i]);
    free(malloc(40 * MIB));
    sleep_ms(60);
    puts("ran");
    return 0;
}

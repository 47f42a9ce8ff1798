/* What a finished thread held is used again by later ones, and what others still hold of it stays valid. */
#include "check.h"
#include <pthread.h>

enum { THREADS = 8, ROUNDS = 100, BLOCKS = 8192 };
static unsigned char *kept[THREADS][BLOCKS];

static void *work(void *number) {
    size_t me = (size_t)(uintptr_t)number;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = 16 + (i * 37 + me) % 1000;
        CHECK((kept[me][i] = malloc(size)) != NULL);
        memset(kept[me][i], (int)me + 1, size);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i % 4) {
            free(kept[me][i]);
            kept[me][i] = NULL;
        }
    }
    return NULL;
}

int main(void) {
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        for (uintptr_t i = 0; i < THREADS; i++)
            CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
        for (size_t t = 0; t < THREADS; t++) {
            for (size_t i = 0; i < BLOCKS; i += 4) {
                size_t size = 16 + (i * 37 + t) % 1000;
                CHECK(kept[t][i][0] == t + 1 && kept[t][i][size - 1] == t + 1);
                free(kept[t][i]);
            }
        }
    }
    /* A round allocates some 34 MiB. */
    CHECK_AT_MOST(resident_peak(), 120 * MIB);
    return 0;
}

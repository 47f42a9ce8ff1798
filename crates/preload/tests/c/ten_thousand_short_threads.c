/* Threads that live for a moment leave nothing behind. */
#include "check.h"
#include <pthread.h>

enum { BATCH = 20, BATCHES = 500 };

static void *work(void *number) {
    size_t me = (size_t)(uintptr_t)number;
    void *blocks[20];
    for (size_t i = 0; i < 20; i++) {
        CHECK((blocks[i] = malloc(1 + me * 31 % 3000 + i)) != NULL);
        *(char *)blocks[i] = 1;
    }
    for (size_t i = 0; i < 19; i++)
        free(blocks[i]);
    return blocks[19];
}

int main(void) {
    size_t early = 0;
    for (size_t batch = 0; batch < BATCHES; batch++) {
        pthread_t threads[BATCH];
        for (size_t i = 0; i < BATCH; i++)
            CHECK(pthread_create(&threads[i], NULL, work, (void *)(batch * BATCH + i)) == 0);
        for (size_t i = 0; i < BATCH; i++) {
            void *left;
            CHECK(pthread_join(threads[i], &left) == 0);
            free(left);
        }
        if (batch == BATCHES / 10)
            early = resident();
    }
    CHECK_AT_MOST(resident(), early + 8 * MIB);
    return 0;
}

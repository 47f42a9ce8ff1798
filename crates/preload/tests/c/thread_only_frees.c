/* A thread that never allocates may free what others allocated; the blocks are used again. */
#include "check.h"
#include <pthread.h>

enum { BLOCKS = 20000, ROUNDS = 60 };
static void *blocks[BLOCKS];

static void *free_all(void *unused) {
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    return unused;
}

static pthread_barrier_t turn;

static void *free_each_round(void *unused) {
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&turn);
        free_all(NULL);
        pthread_barrier_wait(&turn);
    }
    return unused;
}

static void allocate_all(void) {
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(16 + i % 1000)) != NULL);
        memset(blocks[i], 1, 16 + i % 1000);
    }
}

int main(void) {
    size_t after_first = 0;
    for (int round = 0; round < ROUNDS; round++) {
        allocate_all();
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, free_all, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        if (round == 0)
            after_first = resident();
    }
    /* Some 10 MiB a round: were they lost, 600 MiB would be resident. */
    CHECK_AT_MOST(resident_peak(), after_first + 40 * MIB);

    pthread_t thread;
    CHECK(pthread_barrier_init(&turn, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, free_each_round, NULL) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        allocate_all();
        pthread_barrier_wait(&turn);
        pthread_barrier_wait(&turn);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_AT_MOST(resident_peak(), after_first + 40 * MIB);
    return 0;
}

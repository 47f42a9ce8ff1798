/* Cancellation that arrives at any moment, in the middle of malloc and free too: deferred, it waits for a
   cancellation point, so no lock and no block is lost; asynchronous, it is the program's to allow only where it
   calls nothing (pthreads(7): malloc is not async-cancel-safe, and glibc's own deadlocks). */
#include "check.h"
#include <pthread.h>

enum { ROUNDS = 120, THREADS = 4, PLACES = 24 };
static _Atomic int cleaned;

static void clean(void *places) {
    for (int i = 0; i < PLACES; i++)
        free(((void **)places)[i]);
    free(places);
    cleaned++;
}

static void *work(void *seed) {
    uint64_t random = (uint64_t)(uintptr_t)seed;
    void **places = calloc(PLACES, sizeof *places);
    CHECK(places != NULL);
    pthread_cleanup_push(clean, places);
    for (;;) {
        for (int i = 0; i < 20; i++) {
            size_t at = next_random(&random) % PLACES;
            free(places[at]);
            places[at] = malloc(random_size(&random) * (i % 10 == 0 ? 40 : 1));
            CHECK(places[at] != NULL);
        }
        int before;
        CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before) == 0);
        for (volatile int spin = 0; spin < 500; spin++) {
        }
        CHECK(pthread_setcanceltype(before, NULL) == 0);
        pthread_testcancel();
    }
    pthread_cleanup_pop(1);
    return NULL;
}

int main(void) {
    size_t early = 0;
    uint64_t random = 6;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        for (uintptr_t i = 0; i < THREADS; i++)
            CHECK(pthread_create(&threads[i], NULL, work, (void *)((uintptr_t)round * THREADS + i + 1)) == 0);
        struct timespec pause = {0, (long)(next_random(&random) % 1500000)};
        nanosleep(&pause, NULL);
        for (int i = 0; i < THREADS; i++) {
            void *result;
            CHECK(pthread_cancel(threads[i]) == 0);
            CHECK(pthread_join(threads[i], &result) == 0 && result == PTHREAD_CANCELED);
        }
        if (round == ROUNDS / 5)
            early = mallinfo2().uordblks;
    }
    /* A thread cancelled before it began leaves nothing to clean. */
    CHECK_AT_MOST(cleaned, ROUNDS * THREADS);
    CHECK_AT_LEAST(cleaned, ROUNDS);
    CHECK_AT_MOST(mallinfo2().uordblks, early + 4 * MIB);
    return 0;
}

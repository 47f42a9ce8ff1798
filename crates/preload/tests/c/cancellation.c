/* malloc and free are not cancellation points: pthreads(7) does not list them. A thread with a
   cancellation pending gets through them, and its cleanup handlers free. */
#include "check.h"
#include <pthread.h>

enum { THREADS = 100 };
static _Atomic int through, cleaned;

static void clean(void *block) {
    free(block);
    free(malloc(500));
    cleaned++;
}

static void *work(void *unused) {
    char *block = malloc(1000);
    CHECK(block != NULL);
    pthread_cleanup_push(clean, block);
    CHECK(pthread_cancel(pthread_self()) == 0);
    uint64_t random = 3;
    for (int i = 0; i < 3000; i++) {
        char *other = malloc(random_size(&random) * (i % 500 == 0 ? 64 : 1));
        CHECK(other != NULL);
        CHECK((other = realloc(other, random_size(&random))) != NULL);
        free(other);
        free(calloc(1, 100));
    }
    malloc_trim(0);
    through++;
    pthread_testcancel();
    CHECK(!"cancelled before");
    pthread_cleanup_pop(0);
    return unused;
}

int main(void) {
    for (int i = 0; i < THREADS; i += 4) {
        pthread_t threads[4];
        void *result;
        for (int j = 0; j < 4; j++)
            CHECK(pthread_create(&threads[j], NULL, work, NULL) == 0);
        for (int j = 0; j < 4; j++) {
            CHECK(pthread_join(threads[j], &result) == 0);
            CHECK(result == PTHREAD_CANCELED);
        }
    }
    CHECK(through == THREADS && cleaned == THREADS);
    return 0;
}

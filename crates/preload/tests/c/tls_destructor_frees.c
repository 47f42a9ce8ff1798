/* Destructors of thread-specific data allocate and free, also after the heap's own has run: they are
   called in no order, and again as long as they set values. pthread_key_create(3). */
#include "check.h"
#include <pthread.h>

enum { KEYS = 40, THREADS = 200 };
static pthread_key_t keys[KEYS];
static __thread int rounds;
static _Atomic int late;

static void destroy(void *value) {
    free(value);
    void *more = malloc(3000);
    CHECK(more != NULL);
    memset(more, 1, 3000);
    free(more);
    /* Sets itself again until libc gives up (PTHREAD_DESTRUCTOR_ITERATIONS). */
    if (rounds++ < 6 * KEYS) {
        CHECK((value = calloc(1, (size_t)rounds * 10)) != NULL);
        pthread_setspecific(keys[rounds % KEYS], value);
    }
    if (rounds > 3 * KEYS)
        late++;
}

static void *work(void *unused) {
    for (int i = 0; i < KEYS; i++)
        CHECK(pthread_setspecific(keys[i], malloc(100 * (size_t)i + 1)) == 0);
    return unused;
}

int main(void) {
    free(malloc(1));
    for (int i = 0; i < KEYS; i++)
        CHECK(pthread_key_create(&keys[i], destroy) == 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(late > 0);
    work(NULL);
    return 0;
}

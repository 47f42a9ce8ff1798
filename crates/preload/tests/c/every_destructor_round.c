/* pthread_key_create(3): destructors are called again for as long as they set values, up to
   PTHREAD_DESTRUCTOR_ITERATIONS times. malloc and free work in each round, the last included, in which the heap
   itself has already taken leave of the thread; and what is freed then is not lost. */
#include "check.h"
#include <limits.h>
#include <pthread.h>

enum { THREADS = 400, KEYS = 3 };
static pthread_key_t keys[KEYS];
static _Atomic int calls[16];

struct value {
    size_t key, round;
    void *blocks[12];
};

static struct value *made(size_t key, size_t round) {
    struct value *value = malloc(sizeof *value);
    CHECK(value != NULL);
    value->key = key, value->round = round;
    for (size_t i = 0; i < 12; i++) {
        size_t size = (size_t)8 << i;
        CHECK((value->blocks[i] = malloc(size)) != NULL);
        memset(value->blocks[i], (int)i, size);
    }
    return value;
}

static void destroy(void *of) {
    struct value *value = of;
    CHECK(value->round < 16);
    calls[value->round]++;
    for (size_t i = 0; i < 12; i++) {
        CHECK(*((unsigned char *)value->blocks[i] + ((size_t)8 << i) - 1) == i);
        CHECK((value->blocks[i] = realloc(value->blocks[i], (size_t)20 << i)) != NULL);
        free(value->blocks[i]);
    }
    /* The value of the last round would be leaked by libc, so none is made. */
    if (value->round + 1 < PTHREAD_DESTRUCTOR_ITERATIONS)
        CHECK(pthread_setspecific(keys[value->key], made(value->key, value->round + 1)) == 0);
    free(value);
}

static void *work(void *unused) {
    for (size_t i = 0; i < KEYS; i++)
        CHECK(pthread_setspecific(keys[i], made(i, 0)) == 0);
    return unused;
}

int main(void) {
    /* One key before the heap's own, if the program can manage that, and some behind. */
    for (int i = 0; i < KEYS; i++)
        CHECK(pthread_key_create(&keys[i], destroy) == 0);
    size_t early = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        if (i == THREADS / 8)
            early = resident();
    }
    for (int round = 0; round < PTHREAD_DESTRUCTOR_ITERATIONS; round++)
        CHECK(calls[round] == THREADS * KEYS);
    CHECK_AT_MOST(resident(), early + 6 * MIB);
    return 0;
}

/* Blocks that one thread allocates and another frees, without end, keep their contents and do not
   make the process grow. */
#include "check.h"
#include <pthread.h>
#include <sched.h>

enum { PAIRS = 4, SLOTS = 1024, MESSAGES = 200000 };
struct message {
    size_t size;
    unsigned char bytes[];
};
static struct ring {
    struct message *_Atomic slots[SLOTS];
} rings[PAIRS];

static void *produce(void *number) {
    struct ring *ring = &rings[(uintptr_t)number];
    uint64_t random = (uintptr_t)number + 1;
    for (size_t i = 0; i < MESSAGES; i++) {
        size_t size = next_random(&random) % (i % 512 == 0 ? 100000 : 600);
        struct message *message = malloc(sizeof *message + size);
        CHECK(message != NULL);
        message->size = size;
        memset(message->bytes, (int)(i % 251), size);
        while (ring->slots[i % SLOTS] != NULL)
            sched_yield();
        ring->slots[i % SLOTS] = message;
    }
    return NULL;
}

static void *consume(void *number) {
    struct ring *ring = &rings[(uintptr_t)number];
    for (size_t i = 0; i < MESSAGES; i++) {
        struct message *message;
        while ((message = ring->slots[i % SLOTS]) == NULL)
            sched_yield();
        ring->slots[i % SLOTS] = NULL;
        CHECK(message->size == 0 || message->bytes[0] == i % 251);
        CHECK(message->size == 0 || message->bytes[message->size - 1] == i % 251);
        free(message);
    }
    return NULL;
}

int main(void) {
    pthread_t producers[PAIRS], consumers[PAIRS];
    for (uintptr_t i = 0; i < PAIRS; i++) {
        CHECK(pthread_create(&producers[i], NULL, produce, (void *)i) == 0);
        CHECK(pthread_create(&consumers[i], NULL, consume, (void *)i) == 0);
    }
    for (int i = 0; i < PAIRS; i++) {
        CHECK(pthread_join(producers[i], NULL) == 0);
        CHECK(pthread_join(consumers[i], NULL) == 0);
    }
    /* 4 × 1024 messages of some 400 bytes wait at most: below 2 MiB. */
    CHECK_AT_MOST(resident_peak(), 64 * MIB);
    return 0;
}

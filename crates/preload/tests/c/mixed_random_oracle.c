/* Eight threads call everything at random and hand blocks to each other; every byte of every block
   keeps the pattern of its block until it is freed. */
#include "check.h"
#include <pthread.h>

enum { THREADS = 8, SLOTS = 256, STEPS = 25000, MAILBOXES = 64 };

struct held {
    unsigned char *block;
    size_t size;
    unsigned char seed;
};
static struct held *_Atomic mailboxes[MAILBOXES];

static unsigned char at(const struct held *held, size_t i) { return (unsigned char)(held->seed + i * 7 + (i >> 8)); }

/* Blocks above 8 KiB: their ends, and some bytes between. */
static size_t step_at(size_t i, size_t size) { return size > 8192 && i > 256 && i + 256 < size ? 509 : 1; }

static void fill(struct held *held) {
    for (size_t i = 0; i < held->size; i += step_at(i, held->size))
        held->block[i] = at(held, i);
}

static void verify(const struct held *held, size_t size) {
    for (size_t i = 0; i < size; i += step_at(i, held->size))
        CHECK(held->block[i] == at(held, i));
}

static void allocate(struct held *held, uint64_t *random) {
    held->size = random_size(random) >> next_random(random) % 5;
    if (next_random(random) % 300 == 0)
        held->size = next_random(random) % (6 * MIB);
    held->seed = (unsigned char)next_random(random);
    size_t alignment = (size_t)16 << next_random(random) % 10;
    switch (next_random(random) % 8) {
    case 0:
        held->block = calloc(1, held->size);
        for (size_t i = 0; i < held->size; i += step_at(i, held->size))
            CHECK(held->block[i] == 0);
        break;
    case 1:
        held->block = memalign(alignment, held->size);
        CHECK((uintptr_t)held->block % alignment == 0);
        break;
    case 2:
        CHECK(posix_memalign((void **)&held->block, alignment, held->size) == 0);
        CHECK((uintptr_t)held->block % alignment == 0);
        break;
    default: held->block = malloc(held->size);
    }
    CHECK(held->block != NULL && malloc_usable_size(held->block) >= held->size);
    fill(held);
}

static void release(struct held *held) {
    if (held->block == NULL)
        return;
    verify(held, held->size);
    free(held->block);
    held->block = NULL;
}

static void *work(void *seed) {
    uint64_t random = (uint64_t)(uintptr_t)seed * 0x9e3779b97f4a7c15ULL;
    struct held *slots = own_pages(SLOTS * sizeof *slots);
    for (int step = 0; step < STEPS; step++) {
        struct held *held = &slots[next_random(&random) % SLOTS];
        uint64_t choice = next_random(&random) % 16;
        if (held->block == NULL) {
            allocate(held, &random);
        } else if (choice < 3) {
            size_t size = random_size(&random), common = size < held->size ? size : held->size;
            /* verify looks where fill wrote, and that depends on the size. */
            verify(held, held->size);
            struct held small = {held->block, common, held->seed};
            for (size_t i = 0; i < common; i++)
                held->block[i] = at(held, i);
            CHECK((held->block = realloc(held->block, size)) != NULL);
            small.block = held->block;
            for (size_t i = 0; i < common; i++)
                CHECK(held->block[i] == at(&small, i));
            held->size = size;
            fill(held);
        } else if (choice < 6) {
            struct held *letter = malloc(sizeof *letter);
            CHECK(letter != NULL);
            *letter = *held;
            held->block = NULL;
            struct held *other = __atomic_exchange_n((struct held **)&mailboxes[next_random(&random) % MAILBOXES],
                                                     letter, __ATOMIC_ACQ_REL);
            if (other != NULL) {
                release(other);
                free(other);
            }
        } else {
            release(held);
        }
        if (step % 8192 == 8191)
            sleep_ms(60);
    }
    for (int i = 0; i < SLOTS; i++)
        release(&slots[i]);
    munmap(slots, SLOTS * sizeof *slots);
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (int round = 0; round < 2; round++) {
        for (uintptr_t i = 0; i < THREADS; i++)
            CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1 + (uintptr_t)round * 100)) == 0);
        for (int i = 0; i < THREADS; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
    for (int i = 0; i < MAILBOXES; i++) {
        if (mailboxes[i] != NULL) {
            release(mailboxes[i]);
            free(mailboxes[i]);
        }
    }
    return 0;
}

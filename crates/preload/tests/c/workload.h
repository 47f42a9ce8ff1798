/* A mixed workload that knows the contents of each of its blocks and gets along with NULL. */
#ifndef NEAP_WORKLOAD_H
#define NEAP_WORKLOAD_H

#include "check.h"
#include <pthread.h>
#include <sched.h>

enum { WORKLOAD_PLACES = 160 };

struct workload {
    struct {
        unsigned char *block;
        size_t size;
        unsigned char mark;
    } places[WORKLOAD_PLACES];
    uint64_t random;
    size_t refused, served;
};

/* At most this many bytes at each end of a block are written and compared. */
#define WORKLOAD_EDGE ((size_t)600)

static void workload_fill(unsigned char *block, size_t size, unsigned char mark) {
    size_t edge = size < WORKLOAD_EDGE ? size : WORKLOAD_EDGE;
    memset(block, mark, edge);
    memset(block + size - edge, mark, edge);
}

/* The first `head` bytes, and the end unless the block has just become larger. */
static void workload_expect(const unsigned char *block, size_t size, size_t whole, unsigned char mark) {
    size_t edge = whole < WORKLOAD_EDGE ? whole : WORKLOAD_EDGE;
    for (size_t i = 0; i < edge && i < size; i++)
        CHECK(block[i] == mark);
    if (size >= whole)
        for (size_t i = whole - edge; i < whole; i++)
            CHECK(block[i] == mark);
}

static size_t workload_size(uint64_t *random) {
    static const size_t large[] = {10000, 40000, 150000, 400000, 900000, 1200000, 2500000, 5000000, 40000000};
    size_t size = random_size(random) / 8;
    return next_random(random) % 24 == 0 ? large[next_random(random) % 9] + size : size;
}

static void workload_drop(struct workload *all, size_t at) {
    if (all->places[at].block != NULL) {
        workload_expect(all->places[at].block, all->places[at].size, all->places[at].size, all->places[at].mark);
        int before = errno;
        free(all->places[at].block);
        CHECK(errno == before);
        all->places[at].block = NULL;
    }
}

static void workload_take(struct workload *all, size_t at) {
    size_t size = workload_size(&all->random);
    unsigned char *block;
    errno = 0;
    switch (next_random(&all->random) % 6) {
    case 0:
        block = calloc(1, size);
        if (block != NULL)
            workload_expect(block, size, size, 0);
        break;
    case 1:
        block = aligned_alloc(64, size);
        CHECK(((uintptr_t)block & 63) == 0);
        break;
    case 2:
        block = memalign(8192, size);
        CHECK(((uintptr_t)block & 8191) == 0);
        break;
    default:
        block = malloc(size);
    }
    if (block == NULL) {
        CHECK(errno == ENOMEM);
        all->refused++;
        return;
    }
    CHECK(malloc_usable_size(block) >= size);
    all->served++;
    all->places[at].block = block;
    all->places[at].size = size;
    all->places[at].mark = (unsigned char)(1 + next_random(&all->random) % 255);
    workload_fill(block, size, all->places[at].mark);
}

static void workload_resize(struct workload *all, size_t at) {
    size_t old = all->places[at].size, size = workload_size(&all->random) + 1;
    unsigned char mark = all->places[at].mark;
    errno = 0;
    unsigned char *block = realloc(all->places[at].block, size);
    if (block == NULL) {
        CHECK(errno == ENOMEM);
        all->refused++;
        workload_expect(all->places[at].block, old, old, mark);
        return;
    }
    workload_expect(block, size, old, mark);
    all->places[at].block = block;
    all->places[at].size = size;
    workload_fill(block, size, mark);
}

__attribute__((unused)) static void workload_run(struct workload *all, int steps) {
    for (int i = 0; i < steps; i++) {
        size_t at = next_random(&all->random) % WORKLOAD_PLACES;
        if (all->places[at].block != NULL && next_random(&all->random) % 3 == 0)
            workload_resize(all, at);
        else {
            workload_drop(all, at);
            workload_take(all, at);
        }
        if (next_random(&all->random) % 500 == 0)
            malloc_trim(0);
    }
}

__attribute__((unused)) static void workload_end(struct workload *all) {
    for (size_t at = 0; at < WORKLOAD_PLACES; at++)
        workload_drop(all, at);
}

/* Two more threads that run the workload at the same time, if threads can be had. They are detached and
   waited for without futex(2), which may be what is refused. */
static _Atomic int workload_threads;
static struct workload workload_others[2];
static int workload_steps;

static void *workload_thread(void *all) {
    workload_run(all, workload_steps);
    workload_end(all);
    workload_threads--;
    return NULL;
}

__attribute__((unused)) static void workload_with_threads(struct workload *mine, int steps) {
    pthread_attr_t detached;
    CHECK(pthread_attr_init(&detached) == 0);
    CHECK(pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED) == 0);
    workload_steps = steps;
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        workload_others[i].random = (uint64_t)i + 77;
        workload_threads++;
        if (pthread_create(&thread, &detached, workload_thread, &workload_others[i]) != 0)
            workload_threads--;
    }
    workload_run(mine, steps);
    CHECK_WITHIN(60000, workload_threads == 0);
}

/* NULLs that any thread got. */
__attribute__((unused)) static size_t workload_refused(const struct workload *mine) {
    return mine->refused + workload_others[0].refused + workload_others[1].refused;
}

#endif

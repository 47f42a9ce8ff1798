/* A child forked while other threads are in the middle of malloc can itself allocate, free blocks of
   threads that it does not have, start threads, and fork again. fork(2) promises only the calling
   thread; glibc's malloc works in the child all the same, and programs rely on it. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

enum { THREADS = 4, SHARED = 64, FORKS = 150 };
static void *_Atomic shared[SHARED];
static _Atomic int stop;

static void churn(uint64_t *random, int steps) {
    void *mine[32] = {0};
    for (int i = 0; i < steps; i++) {
        size_t at = next_random(random) % 32;
        free(mine[at]);
        size_t size = random_size(random) * (i % 100 == 0 ? 32 : 1);
        CHECK((mine[at] = malloc(size)) != NULL);
        memset(mine[at], 1, size < 256 ? size : 256);
        if (i % 8 == 0) {
            void *mailed = malloc(size % 2000);
            free(__atomic_exchange_n((void **)&shared[at * 2 % SHARED], mailed, __ATOMIC_ACQ_REL));
        }
    }
    for (int i = 0; i < 32; i++)
        free(mine[i]);
}

static void *work(void *seed) {
    uint64_t random = (uint64_t)(uintptr_t)seed * 7919 + 1;
    do
        churn(&random, 50);
    while (!stop);
    return NULL;
}

_Noreturn static void in_child(uint64_t random, int generations) {
    for (;;) {
        alarm(20);
        stop = 1;
        churn(&random, 500);
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, work, (void *)3) == 0);
        churn(&random, 200);
        CHECK(pthread_join(thread, NULL) == 0);
        for (int i = 0; i < SHARED; i++)
            free(__atomic_exchange_n((void **)&shared[i], NULL, __ATOMIC_ACQ_REL));
        if (generations-- > 0) {
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0)
                continue;
            int status;
            CHECK(waitpid(child, &status, 0) == child && status == 0);
        }
        if (random % 2)
            exit(0);
        _exit(0);
    }
}

int main(void) {
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
    uint64_t random = 42;
    for (int i = 0; i < FORKS; i++) {
        churn(&random, 20);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            in_child(random, i % 10 == 0);
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    return 0;
}

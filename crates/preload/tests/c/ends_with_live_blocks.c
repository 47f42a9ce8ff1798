/* exit(3), quick_exit(3), _exit(2), a signal, the end of main and pthread_exit(3) of main, with blocks
   alive, handlers that allocate, and other threads in the middle of malloc. Ends soon, and with the status
   asked for. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

enum { THREADS = 3 };
static void *kept[2000];
static const char *how;
static int handlers;

static void handler(void) {
    handlers++;
    for (size_t i = 0; i < 2000; i += 2)
        free(kept[i]), kept[i] = NULL;
    for (size_t size = 1; size < 40 * MIB; size *= 3) {
        char *block = malloc(size);
        CHECK(block != NULL);
        block[size - 1] = 1;
        free(block);
    }
}

static void *churn(void *seed) {
    uint64_t random = (uint64_t)(uintptr_t)seed;
    void *places[32] = {0};
    for (;;) {
        size_t at = next_random(&random) % 32;
        free(places[at]);
        CHECK((places[at] = malloc(random_size(&random) * (at == 0 ? 40 : 1))) != NULL);
    }
    return NULL;
}

static void *ends(void *unused) {
    if (strcmp(how, "exit_in_thread") == 0)
        exit(3);
    return unused;
}

static int in_child(long pause) {
    alarm(30);
    CHECK(atexit(handler) == 0 && at_quick_exit(handler) == 0);
    for (size_t i = 0; i < 2000; i++)
        CHECK((kept[i] = malloc(i * 7)) != NULL);
    pthread_t threads[THREADS];
    int last = strcmp(how, "pthread_exit") == 0;
    for (uintptr_t i = 0; i < THREADS && !last; i++)
        CHECK(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0);
    sleep_ms(pause);
    if (strcmp(how, "exit") == 0)
        exit(3);
    if (strcmp(how, "quick_exit") == 0)
        quick_exit(3);
    if (strcmp(how, "_exit") == 0)
        _exit(3);
    if (strcmp(how, "signal") == 0)
        raise(SIGKILL);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, ends, NULL) == 0);
    if (strcmp(how, "return") == 0)
        return 3;
    pthread_exit(NULL);
}

int main(void) {
    static const char *const ways[] = {"exit", "quick_exit", "_exit", "signal", "exit_in_thread", "return", "pthread_exit"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        for (long pause = 0; pause < 6; pause++) {
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                how = ways[i];
                return in_child(pause);
            }
            int status, wanted = strcmp(ways[i], "signal") == 0 ? SIGKILL : strcmp(ways[i], "pthread_exit") == 0 ? 0 : 3 << 8;
            CHECK(waitpid(child, &status, 0) == child);
            if (status != wanted)
                say("%s after %ld ms: wait status %#x\n", ways[i], pause, (unsigned)status);
            CHECK(status == wanted);
        }
    }
    return 0;
}

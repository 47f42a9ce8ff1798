/* _Fork(3) runs no pthread_atfork handlers and is async-signal-safe: from a handler in a program whose
   other threads allocate, the child gets as far as _exit, and the parent goes on. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#pragma weak _Fork
extern pid_t _Fork(void);

enum { THREADS = 4, SIGNALS = 400 };
static _Atomic int stop, handled, failed;

static void on_signal(int number) {
    (void)number;
    int saved = errno;
    pid_t child = _Fork();
    if (child == 0)
        _exit(0);
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child < 0 || status != 0)
        failed++;
    handled++;
    errno = saved;
}

static void *work(void *seed) {
    uint64_t random = (uint64_t)(uintptr_t)seed;
    while (!stop) {
        size_t size = random_size(&random);
        char *block = malloc(size);
        CHECK(block != NULL);
        block[size - 1] = 1;
        free(block);
    }
    return NULL;
}

int main(void) {
    if (_Fork == NULL)
        SKIP("this libc has no _Fork\n");
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
    for (int i = 0; i < SIGNALS; i++) {
        int before = handled;
        CHECK(pthread_kill(threads[i % THREADS], SIGUSR1) == 0);
        CHECK_WITHIN(20000, handled > before);
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(failed == 0);
    return 0;
}

/* The heap needs little stack: threads with the least that pthread_attr_setstacksize(3) takes, and
   handlers on an alternate stack of 8 KiB (sigaltstack(2)) allocate and free. */
#include "check.h"
#include <limits.h>
#include <pthread.h>
#include <signal.h>

static void use_every_kind(void) {
    for (size_t size = 1; size < 100 * MIB; size = size * 5 / 2 + 1) {
        char *block = malloc(size);
        CHECK(block != NULL);
        block[size - 1] = 1;
        char *zero = calloc(1, size / 2 + 1);
        CHECK(zero != NULL);
        CHECK((block = realloc(block, size / 3 + 1)) != NULL);
        void *aligned = memalign(4096, size);
        CHECK(aligned != NULL);
        free(block), free(zero), free(aligned);
    }
}

static void *work(void *unused) {
    use_every_kind();
    return unused;
}

static volatile sig_atomic_t handled;

static void on_signal(int number) {
    (void)number;
    use_every_kind();
    handled++;
}

static void *raise_on_small_stack(void *unused) {
    static __thread char room[8192];
    stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    CHECK(sigaltstack(&stack, NULL) == 0);
    /* Synchronous, so no call of malloc is interrupted. */
    CHECK(raise(SIGUSR1) == 0);
    return unused;
}

int main(void) {
    pthread_attr_t smallest;
    CHECK(pthread_attr_init(&smallest) == 0);
    /* What the block of thread-local variables takes is taken from the stack. */
    CHECK(pthread_attr_setstacksize(&smallest, (size_t)sysconf(_SC_THREAD_STACK_MIN) + 16 * KIB) == 0);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &smallest, work, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    if (sysconf(_SC_MINSIGSTKSZ) < 6000)
        raise_on_small_stack(NULL);
    for (int i = 0; i < 20 && sysconf(_SC_MINSIGSTKSZ) < 6000; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, raise_on_small_stack, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(handled == 21 || sysconf(_SC_MINSIGSTKSZ) >= 6000);
    return 0;
}

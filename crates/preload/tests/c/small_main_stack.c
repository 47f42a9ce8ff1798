/* The heap needs little stack of the thread that calls it. The main thread under `ulimit -s 64`, threads
   with exactly PTHREAD_STACK_MIN (pthread_attr_setstacksize(3)), a handler on the smallest alternate
   stack (sigaltstack(2)); and, measured, the deepest that any call goes. */
#include "check.h"
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

static void use_every_kind(void) {
    for (size_t size = 1; size < 100 * MIB; size = size * 7 / 2 + 1) {
        char *block = malloc(size);
        CHECK(block != NULL);
        block[size - 1] = 1;
        char *zero = calloc(1, size / 2 + 1);
        CHECK(zero != NULL);
        CHECK((block = realloc(block, size / 3 + 1)) != NULL);
        void *aligned = memalign(4096, size);
        CHECK(aligned != NULL && malloc_usable_size(aligned) >= size);
        free(block), free(zero), free(aligned);
    }
    malloc_trim(0);
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

/* How deep into an alternate stack of `room` bytes a handler went, in bytes. */
static size_t depth(void (*handler)(int), size_t room) {
    char *stack = own_pages(room);
    memset(stack, 0x5a, room);
    stack_t alternate = {.ss_sp = stack, .ss_size = room};
    CHECK(sigaltstack(&alternate, NULL) == 0);
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0);
    size_t untouched = 0;
    while (untouched < room && stack[untouched] == 0x5a)
        untouched++;
    alternate.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&alternate, NULL) == 0);
    munmap(stack, room);
    return room - untouched;
}

static void nothing(int number) {
    (void)number;
    handled++;
}

int main(int argc, char **argv) {
    if (argc == 1) {
        struct rlimit limit = {64 * KIB, 64 * KIB};
        CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
        char *arguments[] = {argv[0], "limited", NULL}, *environment[32];
        /* The environment lies on the stack too. */
        size_t kept = 0;
        for (char **e = environ; *e != NULL && kept < 31; e++)
            if (strncmp(*e, "NEAP_", 5) == 0 || strncmp(*e, "LD_", 3) == 0)
                environment[kept++] = *e;
        environment[kept] = NULL;
        execve("/proc/self/exe", arguments, environment);
        CHECK(!"exec");
    }
    use_every_kind();
    pthread_attr_t smallest;
    CHECK(pthread_attr_init(&smallest) == 0);
    CHECK(pthread_attr_setstacksize(&smallest, (size_t)sysconf(_SC_THREAD_STACK_MIN)) == 0);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &smallest, work, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    size_t frame = depth(nothing, 64 * KIB), deepest = depth(on_signal, 64 * KIB) - frame;
    CHECK(handled == 2);
    printf("%zu bytes of stack, and %zu for a signal\n", deepest, frame);
    CHECK_AT_MOST(deepest, 3 * KIB);
    /* On the smallest alternate stack there is, with that much added. */
    long least = sysconf(_SC_MINSIGSTKSZ);
    size_t room = ((size_t)(least > 0 ? least : MINSIGSTKSZ) + frame + 3 * KIB + 4095) & ~(size_t)4095;
    depth(on_signal, room);
    CHECK(handled == 3);
    return 0;
}

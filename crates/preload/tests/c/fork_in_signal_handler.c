/* A signal handler that interrupts malloc may fork, for fork(2) was async-signal-safe until
   POSIX.1-2024 and _Fork(3) is. The child may leave from the handler, or return into the interrupted
   malloc and go on allocating. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

enum { SIGNALS = 400, SENDERS = 2 };
static volatile sig_atomic_t handled, is_child, children_failed;
static pid_t parent;

static void on_signal(int number) {
    (void)number;
    int saved = errno;
    int turn = handled++;
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        if (turn % 2)
            _exit(0);
        is_child = 1;
        errno = saved;
        return;
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child < 0 || status != 0)
        children_failed++;
    errno = saved;
}

static void send_signals(void) {
    uint64_t random = (uint64_t)getpid();
    alarm(60);
    for (;;) {
        if (kill(parent, SIGUSR1) != 0)
            _exit(0);
        struct timespec pause = {0, (long)(next_random(&random) % 700000) + 200000};
        nanosleep(&pause, NULL);
    }
}

int main(void) {
    parent = getpid();
    pid_t senders[SENDERS];
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    sigset_t hold;
    sigemptyset(&hold);
    sigaddset(&hold, SIGUSR1);
    sigprocmask(SIG_BLOCK, &hold, NULL);
    for (int i = 0; i < SENDERS; i++)
        if ((senders[i] = fork()) == 0)
            send_signals();
    sigprocmask(SIG_UNBLOCK, &hold, NULL);

    uint64_t random = 99;
    void *blocks[128] = {0};
    long left = -1;
    while (handled < SIGNALS && left != 0) {
        if (is_child && left < 0) {
            sigprocmask(SIG_BLOCK, &hold, NULL);
            left = 3000;
        }
        left -= left > 0;
        size_t at = next_random(&random) % 128;
        free(blocks[at]);
        size_t size = random_size(&random) * (next_random(&random) % 64 == 0 ? 64 : 1);
        CHECK((blocks[at] = malloc(size)) != NULL);
        *(char *)blocks[at] = 1;
    }
    for (int i = 0; i < 128; i++)
        free(blocks[i]);
    if (is_child)
        _exit(0);
    for (int i = 0; i < SENDERS; i++)
        kill(senders[i], SIGKILL);
    CHECK(children_failed == 0);
    return 0;
}

/* Signals sent to the process reach a thread of the program, never a helper. signal(7): the kernel
   picks any thread that does not block the signal. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

static volatile sig_atomic_t handled, elsewhere;

static void on_signal(int number) {
    (void)number;
    handled++;
    if (syscall(SYS_gettid) != syscall(SYS_getpid))
        elsewhere++;
}

static void burst(void) {
    static void *blocks[20000];
    for (size_t i = 0; i < 20000; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        memset(blocks[i], 1, 1000);
    }
    for (size_t i = 0; i < 20000; i++)
        free(blocks[i]);
}

int main(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    for (int round = 0; round < 10; round++) {
        burst();
        for (int i = 0; i < 20; i++) {
            CHECK(kill(getpid(), SIGUSR1) == 0);
            sleep_ms(3);
        }
    }
    CHECK(handled >= 150 && elsewhere == 0);

    /* Blocked in every thread of the program, a signal stays pending until it is asked for. */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    burst();
    sleep_ms(40);
    CHECK(kill(getpid(), SIGUSR2) == 0);
    sleep_ms(100);
    siginfo_t info;
    CHECK(sigwaitinfo(&set, &info) == SIGUSR2);
    return 0;
}

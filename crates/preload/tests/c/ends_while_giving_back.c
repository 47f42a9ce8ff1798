/* However a process ends or goes on right after a burst, a helper at work is no hindrance: exit, _exit,
   exec, fork, a signal, and pthread_exit of the last thread. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static void burst(void) {
    enum { BLOCKS = 60000 };
    void **blocks = own_pages(BLOCKS * sizeof *blocks);
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        memset(blocks[i], 1, 1000);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    munmap(blocks, BLOCKS * sizeof *blocks);
}

static void in_child(const char *how, long pause, char **argv) {
    alarm(20);
    size_t base = resident();
    burst();
    sleep_ms(pause);
    if (strcmp(how, "exit") == 0)
        exit(3);
    if (strcmp(how, "_exit") == 0)
        _exit(3);
    if (strcmp(how, "pthread_exit") == 0)
        pthread_exit(NULL);
    if (strcmp(how, "raise") == 0)
        raise(SIGTERM);
    if (strcmp(how, "abort") == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        abort();
    }
    if (strcmp(how, "exec") == 0) {
        char *arguments[] = {argv[0], "after exec", NULL};
        execv("/proc/self/exe", arguments);
    }
    if (strcmp(how, "fork") == 0) {
        /* The child has no helper, and gets one of its own. */
        pid_t child = fork();
        if (child == 0) {
            burst();
            CHECK_WITHIN(3000, resident() < base + 12 * MIB);
            _exit(3);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 9);
    }
    _exit(9);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "after exec") == 0) {
        CHECK(threads() == 1);
        return 3;
    }
    static const char *const ways[] = {"exit", "_exit", "exec", "fork", "raise", "abort", "pthread_exit"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        for (long pause = 0; pause <= 150; pause += 30) {
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0)
                in_child(ways[i], pause, argv);
            int status;
            CHECK(waitpid(child, &status, 0) == child);
            int as_it_should = strcmp(ways[i], "raise") == 0          ? WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM
                               : strcmp(ways[i], "abort") == 0        ? WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT
                               : strcmp(ways[i], "pthread_exit") == 0 ? status == 0
                                                                      : WIFEXITED(status) && WEXITSTATUS(status) == 3;
            if (!as_it_should)
                say("%s after %ld ms: wait status %#x\n", ways[i], pause, (unsigned)status);
            CHECK(as_it_should);
        }
    }
    return 0;
}

/* fork(2) where it is awkward: in pthread_atfork(3) handlers that allocate, within one another, from a
   thread whose main thread is gone, by daemon(3), system(3) and popen(3), bare, in the middle of other
   threads' mallocs. Parent and child both go on allocating, start threads and end as they like.
   argv[1]: which. */
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { THREADS = 3, PLACES = 48 };
static _Atomic int stop;

static void churn(uint64_t seed, int steps) {
    void *places[PLACES] = {0};
    uint64_t random = seed * 7919 + 3;
    for (int i = 0; i < steps; i++) {
        size_t at = next_random(&random) % PLACES;
        size_t size = random_size(&random) * (i % 80 == 0 ? 32 : 1);
        free(places[at]);
        CHECK((places[at] = malloc(size)) != NULL);
        memset(places[at], (int)at, size < 300 ? size : 300);
    }
    for (int i = 0; i < PLACES; i++)
        free(places[i]);
}

static void *work(void *seed) {
    for (uint64_t i = 0; !stop; i++)
        churn((uint64_t)(uintptr_t)seed + i, 50);
    return NULL;
}

static void start(pthread_t *threads) {
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
}

static void finish(pthread_t *threads) {
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* What a child may want: to allocate, and to have threads again. */
static void live_on(void) {
    alarm(30);
    stop = 0;
    pthread_t threads[THREADS];
    start(threads);
    churn(5, 400);
    finish(threads);
    churn(6, 100);
}

static void reap(pid_t child) {
    int status;
    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    if (status != 0)
        say("child ended with %#x\n", (unsigned)status);
    CHECK(status == 0);
}

/* Handlers that allocate in front of the fork and free in both processes behind it. */
static void *prepared[2][3];
static int preparing, depth, in_handlers;

static void prepare(void) {
    static const size_t sizes[] = {70, 70000, 3 * MIB};
    churn(7, 30);
    for (int i = 0; i < 3; i++)
        CHECK((prepared[preparing][i] = malloc(sizes[i])) != NULL);
    preparing++;
}

static void behind(void) {
    preparing--;
    for (int i = 0; i < 3; i++)
        free(prepared[preparing][i]);
    churn(8, 30);
    in_handlers++;
}

static void child_behind(void) {
    behind();
    /* A fork in the handler of a fork, the last of them. */
    if (depth++ > 1)
        return;
    pid_t child = fork();
    if (child == 0) {
        churn(9, 50);
        _exit(0);
    }
    reap(child);
}

static void handlers(void) {
    CHECK(pthread_atfork(prepare, behind, behind) == 0);
    CHECK(pthread_atfork(prepare, behind, child_behind) == 0);
    for (int i = 0; i < 40; i++) {
        pid_t child = fork();
        if (child == 0) {
            live_on();
            _exit(0);
        }
        reap(child);
    }
    CHECK(in_handlers == 80);
}

static void nested(int generations) {
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        churn((uint64_t)generations, 200);
        if (generations > 0)
            nested(generations - 1);
        live_on();
        exit(0);
    }
    churn((uint64_t)generations, 200);
    reap(child);
}

/* From a thread: the child has that one only, and its main function never returns. */
static void *fork_here(void *how) {
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            live_on();
            if (strcmp(how, "exit") == 0)
                exit(0);
            pthread_exit(NULL);
        }
        reap(child);
    }
    return NULL;
}

static void *main_is_gone(void *main_thread) {
    CHECK(pthread_join(*(pthread_t *)main_thread, NULL) == 0);
    fork_here("exit");
    fork_here("pthread_exit");
    stop = 1;
    exit(0);
}

static void by_daemon(void) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK(daemon(1, 1) == 0);
        live_on();
        CHECK(write(ends[1], "1", 1) == 1);
        exit(0);
    }
    reap(child);
    close(ends[1]);
    char byte = 0;
    CHECK(read(ends[0], &byte, 1) == 1 && byte == '1');
    close(ends[0]);
}

static void shells(void) {
    for (int i = 0; i < 30; i++) {
        CHECK(system("exit 0") == 0);
        FILE *pipe = popen("echo told", "r");
        char line[16];
        CHECK(pipe != NULL && fgets(line, sizeof line, pipe) != NULL && strcmp(line, "told\n") == 0);
        CHECK(pclose(pipe) == 0);
    }
}

/* No handler runs. Only this thread's own state is known to be whole, so with other threads a child may
   do no more than leave; without, it may do everything. */
static void bare_forks(int alone) {
    for (int i = 0; i < 60; i++) {
        pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (child == 0) {
            alarm(30);
            if (alone)
                churn(12, 300);
            _exit(0);
        }
        reap(child);
        churn(11, 50);
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    const char *which = argv[1];
    if (strcmp(which, "bare_alone") == 0) {
        churn(1, 2000);
        bare_forks(1);
        return 0;
    }
    pthread_t threads[THREADS], self = pthread_self();
    start(threads);
    churn(1, 500);
    if (strcmp(which, "handlers") == 0)
        handlers();
    else if (strcmp(which, "nested") == 0)
        nested(8);
    else if (strcmp(which, "thread") == 0) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, fork_here, "pthread_exit") == 0);
        churn(2, 2000);
        CHECK(pthread_join(thread, NULL) == 0);
    } else if (strcmp(which, "main_is_gone") == 0) {
        pthread_t thread;
        static pthread_t mine;
        mine = self;
        CHECK(pthread_create(&thread, NULL, main_is_gone, &mine) == 0);
        pthread_exit(NULL);
    } else if (strcmp(which, "daemon") == 0)
        by_daemon();
    else if (strcmp(which, "shells") == 0)
        shells();
    else {
        CHECK(strcmp(which, "bare") == 0);
        bare_forks(0);
    }
    finish(threads);
    return 0;
}

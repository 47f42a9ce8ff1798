/* A vfork(2) child shares the parent's memory and its thread-local block; posix_spawn(3) does the same.
   Blocks that the child allocates and frees before exec belong to the parent's heap. */
#include "check.h"
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

static _Atomic int stop;
static char *const no_environment[] = {NULL};

static void *work(void *unused) {
    uint64_t random = 5;
    while (!stop)
        free(malloc(random_size(&random)));
    return unused;
}

int main(int argc, char **argv) {
    if (argc == 2)
        return strcmp(argv[1], "spawned") != 0;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    char *arguments[] = {argv[0], "spawned", NULL};
    for (int i = 0; i < 100; i++) {
        int status;
        char *volatile kept = NULL;
        pid_t child = vfork();
        if (child == 0) {
            free(malloc(100));
            free(malloc(100000));
            kept = malloc((size_t)i * 50 + 1);
            if (i % 2)
                _exit(0);
            execve("/proc/self/exe", arguments, no_environment);
            _exit(9);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        CHECK(kept != NULL);
        memset(kept, 1, (size_t)i * 50 + 1);
        free(kept);
        CHECK(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    stop = 1;
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    return 0;
}

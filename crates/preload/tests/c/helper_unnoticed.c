/* A helper that gives memory back is not the program's business: soon after a burst the process has
   one thread again, it counts as single-threaded all along, unshare(2) and setns(2), which refuse
   processes of several threads, work, and nothing is left for wait(2). */
#include "check.h"
#include <dlfcn.h>
#include <sched.h>
#include <sys/wait.h>

static void burst(void) {
    enum { BLOCKS = 100000 };
    void **blocks = own_pages(BLOCKS * sizeof *blocks);
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(500 + i % 1000)) != NULL);
        memset(blocks[i], 1, 500);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    munmap(blocks, BLOCKS * sizeof *blocks);
}

/* In a child, for it changes the process. 0 when it works. */
static int unshare_fails(int after_burst) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (after_burst) {
            burst();
            sleep_ms(1000);
        }
        _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : 2);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

int main(void) {
    char *single = dlsym(RTLD_DEFAULT, "__libc_single_threaded");
    CHECK(threads() == 1);
    for (int round = 0; round < 3; round++) {
        burst();
        CHECK(single == NULL || *single);
        CHECK_WITHIN(1500, threads() == 1);
        CHECK(single == NULL || *single);
        errno = 0;
        CHECK(waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD);
    }
    if (unshare_fails(0) == 0)
        CHECK(unshare_fails(1) == 0);
    CHECK(threads() == 1);
    return 0;
}

/* After setuid(2) and its kin no thread of the process keeps the old credentials, also none that libc
   does not know of: nptl(7) sends a signal to every thread it knows. Must start as root. argv[1] says how. */
#include "check.h"
#include <dirent.h>
#include <grp.h>
#include <sys/fsuid.h>

enum { NOBODY = 65534, BLOCKS = 100000 };

static void burst(void) {
    void **blocks = own_pages(BLOCKS * sizeof *blocks);
    for (int i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        memset(blocks[i], 1, 1000);
    }
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    munmap(blocks, BLOCKS * sizeof *blocks);
}

/* Every task has `wanted` as the four numbers of the line `name`. A task may end while we look. */
static void check_tasks(const char *name, int wanted) {
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    struct dirent *entry;
    while ((entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        char path[300];
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        long long real = proc_number(path, name);
        if (real != -1 && real != wanted)
            say("task %s: %s %lld\n", entry->d_name, name + 1, real);
        CHECK(real == -1 || real == wanted);
    }
    closedir(tasks);
}

int main(int argc, char **argv) {
    if (geteuid() != 0)
        SKIP("not root\n");
    CHECK(argc == 2);
    burst();
    /* Long enough for a helper to start, short enough for it to live. */
    sleep_ms(30);
    if (strcmp(argv[1], "setuid") == 0) {
        CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    } else if (strcmp(argv[1], "setresuid") == 0) {
        CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
    } else if (strcmp(argv[1], "setreuid") == 0) {
        CHECK(setregid(NOBODY, NOBODY) == 0 && setreuid(NOBODY, NOBODY) == 0);
    } else {
        CHECK(strcmp(argv[1], "seteuid") == 0 && setegid(NOBODY) == 0 && seteuid(NOBODY) == 0);
    }
    int real = strcmp(argv[1], "seteuid") == 0 ? 0 : NOBODY;
    for (int round = 0; round < 3; round++) {
        long long end = now_ms() + 300;
        while (now_ms() < end) {
            check_tasks("\nUid:", real);
            check_tasks("\nGid:", real);
            sleep_ms(2);
        }
        burst();
    }
    return 0;
}

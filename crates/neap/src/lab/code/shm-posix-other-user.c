#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *name = "/neap-by-hand";

static void as_other(const char *when)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (setgroups(0, NULL) != 0 || setresgid(65534, 65534, 65534) != 0
            || setresuid(65534, 65534, 65534) != 0)
            _exit(1);
        int reads = shm_open(name, O_RDONLY, 0);
        printf("%s: for reading %s", when, reads < 0 ? strerror(errno) : "yes");
        int writes = shm_open(name, O_RDWR, 0);
        printf(", for writing %s", writes < 0 ? strerror(errno) : "yes");
        printf(", shm_unlink %s\n", shm_unlink(name) != 0 ? strerror(errno) : "yes");
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

/* As root. */
int main(void)
{
    int file = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (file < 0)
        return 1;
    as_other("0600");
    fchmod(file, 0644);
    as_other("0644");
    if (fchown(file, 65534, (gid_t)-1) == 0)
        as_other("its own");
    shm_unlink(name);
    return 0;
}

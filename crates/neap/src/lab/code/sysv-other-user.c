#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

static const key_t key = 0x6e656170;

static const char *word(int failed)
{
    return failed ? strerror(errno) : "yes";
}

static void as_other(const char *when, int id)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (setgroups(0, NULL) != 0 || setresgid(65534, 65534, 65534) != 0
            || setresuid(65534, 65534, 65534) != 0)
            _exit(1);
        printf("%s: shmget %s", when, word(shmget(key, 0, 0600) < 0));
        printf(", reading %s", word(shmat(id, NULL, SHM_RDONLY) == (void *)-1));
        printf(", writing %s", word(shmat(id, NULL, 0) == (void *)-1));
        printf(", IPC_RMID %s\n", word(shmctl(id, IPC_RMID, NULL) != 0));
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

/* As root. */
int main(void)
{
    struct shmid_ds status;
    int id = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600);
    if (id < 0)
        return 1;
    as_other("0600", id);
    shmctl(id, IPC_STAT, &status);
    status.shm_perm.mode = 0644;
    shmctl(id, IPC_SET, &status);
    as_other("0644", id);
    shmctl(id, IPC_RMID, NULL);
    return 0;
}

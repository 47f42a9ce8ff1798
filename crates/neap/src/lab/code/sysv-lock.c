#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

static void show(const char *when)
{
    printf("%s: ", when);
    fflush(stdout);
    if (system("grep VmLck /proc/$PPID/status") != 0)
        exit(1);
}

int main(void)
{
    const size_t length = 16 * 4096;
    int id = shmget(IPC_PRIVATE, length, IPC_CREAT | 0600);
    char *bytes = shmat(id, NULL, 0);
    shmctl(id, IPC_RMID, NULL);
    if (bytes == (char *)-1)
        return 1;
    memset(bytes, 1, length);
    if (shmctl(id, SHM_LOCK, NULL) != 0)
        return 1;
    show("SHM_LOCK");
    if (mlock(bytes, length) != 0)
        return 1;
    show("mlock");
    return 0;
}

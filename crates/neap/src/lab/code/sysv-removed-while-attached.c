#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>

#ifndef SHM_DEST
#define SHM_DEST 01000
#endif

int main(void)
{
    const key_t key = 0x6e656170;
    struct shmid_ds status;
    int id = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600);
    char *one = shmat(id, NULL, 0);
    if (one == (char *)-1)
        return 1;
    strcpy(one, "dest");
    shmctl(id, IPC_RMID, NULL);
    if (shmctl(id, IPC_STAT, &status) == 0)
        printf("SHM_DEST: %d\n", (status.shm_perm.mode & SHM_DEST) != 0);
    char *two = shmat(id, NULL, 0);
    if (two != (char *)-1)
        printf("by its number: %s\n", two);
    int other = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600);
    printf("another with the key: %d\n", other >= 0 && other != id);
    shmctl(other, IPC_RMID, NULL);
    shmdt(one);
    shmdt(two);
    int gone = shmctl(id, IPC_STAT, &status);
    printf("after the last shmdt: %d, %s\n", gone, strerror(errno));
    return 0;
}

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>

int main(void)
{
    const key_t key = 0x6e656170;
    int id = shmget(key, 10000, IPC_CREAT | IPC_EXCL | 0600);
    if (id < 0)
        return 1;
    int again = shmget(key, 10000, IPC_CREAT | IPC_EXCL | 0600);
    printf("again with IPC_EXCL: %d, %s\n", again, strerror(errno));
    printf("the same number: %d\n", shmget(key, 0, 0600) == id);
    char *one = shmat(id, NULL, 0);
    char *two = shmat(id, NULL, 0);
    if (one == (char *)-1 || two == (char *)-1)
        return 1;
    one[9999] = '!';
    struct shmid_ds status;
    shmctl(id, IPC_STAT, &status);
    printf("%p and %p, read %c, %zu bytes, attached %lu times\n", (void *)one, (void *)two, two[9999],
           status.shm_segsz, (unsigned long)status.shm_nattch);
    shmdt(one);
    shmdt(two);
    shmctl(id, IPC_RMID, NULL);
    int gone = shmget(key, 0, 0600);
    printf("removed: %d, %s\n", gone, strerror(errno));
    return 0;
}

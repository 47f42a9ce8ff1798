#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

static void show(const char *what, int answer)
{
    printf("%s: %s\n", what, answer < 0 ? strerror(errno) : "success");
}

int main(void)
{
    const key_t key = 0x6e656170;
    show("a new segment of 0 bytes", shmget(key, 0, IPC_CREAT | IPC_EXCL | 0600));
    show("a key that has none", shmget(key, 4096, 0600));
    int id = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0600);
    show("what there is, 0 bytes", shmget(key, 0, 0600));
    show("4096 bytes", shmget(key, 4096, 0600));
    show("4097 bytes", shmget(key, 4097, 0600));
    shmctl(id, IPC_RMID, NULL);
    if (shmat(id, NULL, 0) == (void *)-1)
        printf("shmat of a removed number: %s\n", strerror(errno));
    void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    show("shmdt of memory of mmap", shmdt(page));
    return 0;
}

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#ifndef SHM_REMAP
#define SHM_REMAP 040000
#endif

static char *attempt(const char *what, int id, char *place, int flags)
{
    char *got = shmat(id, place, flags);
    if (got == (char *)-1)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %p asked, %p got\n", what, (void *)place, (void *)got);
    return got;
}

int main(void)
{
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    char *room = mmap(NULL, 16 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (id < 0 || room == MAP_FAILED)
        return 1;
    char *place = room + 8 * 4096;
    attempt("onto what is mapped", id, place, 0);
    attempt("SHM_REMAP over it", id, place, SHM_REMAP);
    shmdt(place);
    attempt("a byte behind a page's start", id, place + 1, 0);
    attempt("SHM_RND", id, place + 1, SHM_RND);
    attempt("SHM_REMAP at NULL", id, NULL, SHM_REMAP);
    shmctl(id, IPC_RMID, NULL);
    return 0;
}

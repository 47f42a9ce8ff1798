#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/sysinfo.h>

#ifndef SHM_NORESERVE
#define SHM_NORESERVE 010000
#endif

static void attempt(const char *what, size_t length, int flags)
{
    int id = shmget(IPC_PRIVATE, length, IPC_CREAT | 0600 | flags);
    printf("%s: %s\n", what, id < 0 ? strerror(errno) : "success");
    if (id >= 0)
        shmctl(id, IPC_RMID, NULL);
}

int main(void)
{
    struct sysinfo info;
    if (sysinfo(&info) != 0)
        return 1;
    size_t length = (info.totalram + info.totalswap) * info.mem_unit * 2;
    attempt("twice memory and swap", length, 0);
    attempt("with SHM_NORESERVE", length, SHM_NORESERVE);
    return 0;
}

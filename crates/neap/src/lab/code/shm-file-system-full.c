#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

static volatile size_t stored;

static void bus(int signal)
{
    char line[64];
    (void)signal;
    int length = snprintf(line, sizeof line, "SIGBUS after %zu pages\n", stored);
    _exit(write(1, line, (size_t)length) != length);
}

/* As root. */
int main(void)
{
    char folder[] = "/tmp/neap-by-hand-XXXXXX";
    if (mkdtemp(folder) == NULL || unshare(CLONE_NEWNS) != 0)
        return 1;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return 1;
    if (mount("neap", folder, "tmpfs", 0, "size=1m") != 0 || chdir(folder) != 0)
        return 1;
    int file = open("object", O_CREAT | O_RDWR, 0600);
    printf("posix_fallocate: %s\n", strerror(posix_fallocate(file, 0, 2 << 20)));
    printf("ftruncate: %d\n", ftruncate(file, 2 << 20));
    fflush(stdout);
    char *bytes = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED || signal(SIGBUS, bus) == SIG_ERR)
        return 1;
    for (; stored < 512; stored++)
        bytes[stored * 4096] = 1;
    return 0;
}

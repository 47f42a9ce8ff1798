#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void show(const char *when)
{
    printf("%s\n", when);
    fflush(stdout);
    if (system("free -k | cut -c1-76; grep -E 'Rss(Anon|Shmem)' /proc/$PPID/status") != 0)
        exit(1);
}

int main(void)
{
    const size_t length = 32 << 20;
    int file = shm_open("/neap-by-hand", O_CREAT | O_EXCL | O_RDWR, 0600);
    if (file < 0 || ftruncate(file, (off_t)length) != 0)
        return 1;
    char *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED)
        return 1;
    show("before");
    memset(bytes, 1, length);
    show("written");
    munmap(bytes, length);
    close(file);
    show("unmapped and closed: still there");
    shm_unlink("/neap-by-hand");
    show("removed");
    return 0;
}

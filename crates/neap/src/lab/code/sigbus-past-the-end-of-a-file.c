#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void touch(const char *what, volatile char *address)
{
    int status;
    fflush(stdout);
    if (fork() == 0) {
        (void)*address;
        _exit(0);
    }
    wait(&status);
    printf("%s: %s\n", what, WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "readable");
}

int main(void)
{
    int file = memfd_create("file", 0);
    char *map = mmap(NULL, 3 * 4096, PROT_READ, MAP_SHARED, file, 0);
    for (int pages = 1; pages != 4; pages = pages == 1 ? 0 : 3) {
        if (ftruncate(file, pages * 4096) != 0)
            return 1;
        printf("%d page(s): ", pages);
        touch("the first", map);
        touch("  the second", map + 4096);
        if (pages == 3)
            break;
    }
    return 0;
}

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
    printf("%s: %s\n", what, WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "nothing");
}

int main(void)
{
    int file = memfd_create("one page", 0);
    if (ftruncate(file, 4096) != 0)
        return 1;
    char *own = mmap(NULL, 2 * 4096, PROT_READ, MAP_SHARED, file, 0);
    touch("nobody's", (char *)16);
    touch("the kernel's", (char *)0xffff800000001000);
    touch("its own, past the end of the file", own + 4096);
    return 0;
}

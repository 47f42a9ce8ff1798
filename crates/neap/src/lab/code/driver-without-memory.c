#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void attempt(const char *what, int file)
{
    void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    printf("%s: %s\n", what, page == MAP_FAILED ? strerror(errno) : "success");
}

int main(void)
{
    int ends[2];
    if (pipe(ends) != 0)
        return 1;
    attempt("a pipe", ends[0]);
    attempt("a socket", socket(AF_UNIX, SOCK_STREAM, 0));
    attempt("a terminal", posix_openpt(O_RDWR | O_NOCTTY));
    attempt("an epoll", epoll_create1(0));
    attempt("/dev/null", open("/dev/null", O_RDWR));
    attempt("/dev/zero", open("/dev/zero", O_RDWR));
    return 0;
}

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void attempt(const char *what, const char *name)
{
    int file = shm_open(name, O_CREAT | O_RDWR, 0600);
    if (file < 0) {
        printf("%s: %s\n", what, strerror(errno));
        return;
    }
    printf("%s: success\n", what);
    close(file);
    shm_unlink(name);
}

int main(void)
{
    char longest[258] = "/";
    memset(longest + 1, 'x', 255);
    attempt("nothing", "");
    attempt("a slash", "/");
    attempt("the folder", "/.");
    attempt("a slash in the middle", "/neap/by-hand");
    attempt("no slash", "neap-by-hand");
    attempt("255 letters", longest);
    longest[256] = 'x';
    attempt("256 letters", longest);
    return 0;
}

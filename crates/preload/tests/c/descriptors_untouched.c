/* The heap keeps no file descriptor: the program may close them all, and finds the lowest free. */
#include "check.h"

static void burst(void) {
    static void *blocks[30000];
    for (size_t i = 0; i < 30000; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        memset(blocks[i], 1, 1000);
    }
    for (size_t i = 0; i < 30000; i++)
        free(blocks[i]);
}

int main(void) {
    static char open_before[1024];
    for (int fd = 0; fd < 1024; fd++)
        open_before[fd] = fcntl(fd, F_GETFD) != -1;
    burst();
    for (int fd = 0; fd < 1024; fd++)
        CHECK(open_before[fd] == (fcntl(fd, F_GETFD) != -1));
    int result = dup(2);
    for (int fd = 0; fd < 1024; fd++)
        if (fd != result)
            close(fd);
    burst();
    sleep_ms(150);
    malloc_trim(0);
    burst();
    for (int fd = 0; fd < 1024; fd++)
        CHECK(fd == result || fcntl(fd, F_GETFD) == -1);
    return 0;
}

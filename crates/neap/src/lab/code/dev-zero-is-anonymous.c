#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    int fd = open("/dev/zero", O_RDWR);
    int prot = PROT_READ | PROT_WRITE;
    char *anonymous = mmap(NULL, 4096, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *zero = mmap(NULL, 4096, prot, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 4096, prot, MAP_PRIVATE, fd, 0);
    if (anonymous == MAP_FAILED || zero == MAP_FAILED || private == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    *anonymous = *zero = *private = '1';
    if (fork() == 0) {
        *anonymous = *zero = *private = '2';
        _exit(0);
    }
    wait(NULL);
    /* 2, 2 and 1: the private one is the child's own. */
    printf("%c %c %c\n", *anonymous, *zero, *private);
    return 0;
}

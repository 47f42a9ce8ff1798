#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf back;

static void caught(int signal)
{
    (void)signal;
    siglongjmp(back, 1);
}

static void look(const char *when, const volatile char *byte)
{
    if (sigsetjmp(back, 1) == 0)
        printf("%s: %d\n", when, *byte);
    else
        printf("%s: SIGBUS\n", when);
}

int main(void)
{
    int file = shm_open("/neap-by-hand", O_CREAT | O_EXCL | O_RDWR, 0600);
    shm_unlink("/neap-by-hand");
    if (file < 0)
        return 1;
    char *pages = mmap(NULL, 2 * 4096, PROT_READ, MAP_SHARED, file, 0);
    if (pages == MAP_FAILED || signal(SIGBUS, caught) == SIG_ERR)
        return 1;
    look("0 bytes", pages);
    if (ftruncate(file, 1) != 0)
        return 1;
    look("1 byte, the first page", pages);
    look("1 byte, the second page", pages + 4096);
    if (ftruncate(file, 0) != 0)
        return 1;
    look("0 bytes again", pages);
    return 0;
}

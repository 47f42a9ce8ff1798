#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    const char *names[] = {"NONE", "READ", "WRITE", "READ|WRITE", "READ|EXEC"};
    int rights[] = {PROT_NONE, PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC};
    const char *accesses[] = {"load", "store", "call"};
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    volatile unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
    page[0] = 0xc3; /* x86: return */
    for (int i = 0; i < 5; i++) {
        mprotect((void *)page, 4096, rights[i]);
        printf("%-10s:", names[i]);
        for (int access = 0; access < 3; access++) {
            int status;
            fflush(stdout);
            if (fork() == 0) {
                if (access == 0)
                    (void)page[0];
                else if (access == 1)
                    page[1] = 1;
                else
                    ((void (*)(void))page)();
                _exit(0);
            }
            wait(&status);
            printf(" %s %s", accesses[access], WIFSIGNALED(status) ? "-" : "ok");
        }
        puts("");
    }
    return 0;
}

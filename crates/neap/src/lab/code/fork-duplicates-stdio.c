#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Run it as it is, then with | cat. */
int main(void)
{
    printf("1: parent, before fork\n");
    if (fork() == 0) {
        printf("2: child\n");
        printf("4: child\n");
        return 0;
    }
    wait(NULL);
    printf("3: parent\n");
    return 0;
}

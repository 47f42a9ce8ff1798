#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    (void)argv;
    char *read = sbrk(0);
    /* What printing does behind the back: malloc raises the break. */
    if (malloc(1024) == NULL)
        return 1;
    char *high = sbrk(0);
    if (brk(read + 128) != 0)
        return 1;
    char *low = sbrk(0);
    /* With an argument: what malloc believes to have is gone. SIGSEGV. */
    if (argc > 1) {
        char *block = malloc(8192);
        if (block != NULL)
            memset(block, 1, 8192);
    }
    if (brk(high) != 0)
        return 1;
    printf("read %p, malloc raised it to %p, set to %p\n", (void *)read, (void *)high, (void *)low);
    return 0;
}

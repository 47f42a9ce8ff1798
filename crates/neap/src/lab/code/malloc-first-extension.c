#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    char *start = sbrk(0);
    char *first = malloc(128);
    char *end = sbrk(0);
    if (first == NULL)
        return 1;
    printf("the break rose by %#lx, of which %#lx lie from the first block on\n", (long)(end - start),
           (long)(end - first));
    free(first);
    return 0;
}

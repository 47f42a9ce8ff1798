#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* With an argument C is held. The break is noted first and printed last: printing allocates. */
int main(int argc, char **argv)
{
    (void)argv;
    long risen[8];
    char *start = sbrk(0);
#define NOTE(step) risen[step] = (char *)sbrk(0) - start
    void *volatile a = malloc(30 << 10);
    NOTE(0);
    void *volatile b = malloc(40 << 10);
    NOTE(1);
    void *volatile c = malloc(200 << 10);
    NOTE(2);
    void *volatile d = malloc(100 << 10);
    NOTE(3);
    if (argc == 1)
        free(c);
    NOTE(4);
    free(b);
    NOTE(5);
    free(d);
    NOTE(6);
    malloc_trim(0);
    NOTE(7);
    const char *steps[] = { "A", "B", "C", "D", "free C", "free B", "free D", "trim" };
    for (int i = 0; i < 8; i++)
        printf("%-6s %#lx\n", steps[i], risen[i]);
    free(a);
    return 0;
}

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Run it on a terminal, and through a pipe. */
int main(void)
{
    struct stat out;
    char *start = sbrk(0);
    printf("stdio takes its buffer now\n");
    char *block = malloc(128);
    fstat(1, &out);
    printf("the first block is %#lx above the heap's start; st_blksize of standard output is %ld\n",
           (long)(block - start), (long)out.st_blksize);
    free(block);
    return 0;
}

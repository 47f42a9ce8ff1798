#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(void)
{
    /* ulimit -c unlimited, and kernel.core_pattern=core */
    char *kept = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *omitted = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 26; i++) {
        kept[i] = 'a' + i;
        omitted[i] = 'z' - i;
    }
    madvise(omitted, 4096, MADV_DONTDUMP);
    printf("grep -c abcdefghijkl core: 1; grep -c zyxwvutsrq core: 0\n");
    fflush(stdout);
    abort();
}

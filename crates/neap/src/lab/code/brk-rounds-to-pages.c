#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* Pages of the heap, as /proc/self/statm counts data; no stdio, which would allocate. */
int main(int argc, char **argv)
{
    (void)argv;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t now = (uintptr_t)sbrk(0);
    char *base = (char *)((now + page - 1) & ~(page - 1));
    if (brk(base + 1) != 0)
        return 1;
    base[page - 1] = 1; /* Behind the break, and mapped. */
    if (argc > 1)
        base[page] = 1; /* SIGSEGV */
    long exact = (char *)sbrk(0) - base;
    if (brk(base + page + 1) != 0)
        return 1;
    base[page] = 1; /* Now it is mapped. */
    brk((void *)now);
    printf("the break rose by %ld, and the whole page could be written\n", exact);
    return 0;
}

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    (void)argv;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t now = (uintptr_t)sbrk(0);
    char *six = (char *)((now + page - 1) & ~(page - 1));
    unsigned char in_core[6];
    if (brk(six + 6 * page) != 0)
        return 1;
    memset(six, 1, 6 * page);
    if (argc > 1) {
        brk(six + page);
        six[4 * page] = 1; /* SIGSEGV: page 5 went with 2, 3 and 4. */
    }
    int error = madvise(six + page, 3 * page, MADV_DONTNEED);
    mincore(six, 6 * page, in_core);
    brk((void *)now);
    printf("madvise: %d; in memory: ", error);
    for (int i = 0; i < 6; i++)
        putchar(in_core[i] & 1 ? '#' : '.');
    putchar('\n');
    return 0;
}

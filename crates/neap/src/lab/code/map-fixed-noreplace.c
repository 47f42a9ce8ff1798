#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    char *room = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(room, 3 * 4096);
    char *first = mmap(room + 4096, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
    /* Before 4.17 the flag is not known, and the address is only a hint. */
    printf("free: %s\n", first == room + 4096 ? "there" : "elsewhere");
    if (mmap(first, 4096, PROT_READ, flags, -1, 0) == MAP_FAILED)
        printf("occupied: %s\n", strerror(errno));
    return 0;
}

#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>

int main(void)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    char *room = mmap(NULL, 8 * 4096, PROT_NONE, flags, -1, 0);
    munmap(room, 8 * 4096);
    char *free_hint = mmap(room, 4096, PROT_READ, flags, -1, 0);
    char *odd_hint = mmap(room + 2 * 4096 + 1, 4096, PROT_READ, flags, -1, 0);
    char *occupied_hint = mmap(room, 4096, PROT_READ, flags, -1, 0);
    printf("free: %+ld, odd: %+ld, occupied: %+ld bytes from the hint\n", (long)(free_hint - room),
           (long)(odd_hint - room - 2 * 4096 - 1), (long)(occupied_hint - room));
    return 0;
}

#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>

int main(void)
{
    for (int shared = 1; shared >= 0; shared--) {
        int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS;
        char *first = mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (first == MAP_FAILED)
            return 1;
        first[0] = 7;
        char *second = mremap(first, 0, 4096, MREMAP_MAYMOVE);
        if (second == MAP_FAILED) {
            perror(shared ? "shared" : "private");
            continue;
        }
        first[0] = 8;
        printf("%s: the second place has %d\n", shared ? "shared" : "private", second[0]);
    }
    return 0;
}

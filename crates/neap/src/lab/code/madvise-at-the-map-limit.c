#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
    size_t count = 70000;
    char *whole = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *many = mmap(NULL, count * 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (size_t i = 0; i < count; i++)
        if (mprotect(many + i * 8192, 4096, PROT_READ)) {
            printf("mprotect %zu: %s\n", i, strerror(errno));
            break;
        }
    printf("munmap: %s\n", munmap(whole + 3 * 4096, 4096) ? strerror(errno) : "success");
    printf("RANDOM: %s\n", madvise(whole + 3 * 4096, 4096, MADV_RANDOM) ? strerror(errno) : "success");
    printf("DONTNEED: %s\n", madvise(whole, 4096, MADV_DONTNEED) ? strerror(errno) : "success");
    return 0;
}

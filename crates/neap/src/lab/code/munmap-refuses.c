#define _DEFAULT_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static void try(const char *what, char *at, size_t len)
{
    int answer = munmap(at, len);
    printf("%s: %s\n", what, answer == 0 ? "success" : strerror(errno));
}

int main(void)
{
    char *map = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    try("length 0", map, 0);
    try("inside a page", map + 1, 4096);
    try("one byte", map + 4096, 1);
    try("the same again, a hole", map + 4096, 1);
    try("all, with the hole", map, 3 * 4096);
    return 0;
}

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
    int files[] = {-1, 999, open("/proc/self/exe", O_PATH)};
    const char *names[] = {"-1", "closed", "O_PATH"};
    for (int i = 0; i < 3; i++) {
        void *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, files[i], 0);
        printf("%s: %s\n", names[i], map == MAP_FAILED ? strerror(errno) : "success");
    }
    return 0;
}

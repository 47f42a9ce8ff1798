#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK;
    void *stack = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, flags, -1, 0);
    char start[32], line[512];
    int inside = 0;
    snprintf(start, sizeof start, "%lx-", (unsigned long)(uintptr_t)stack);
    FILE *smaps = fopen("/proc/self/smaps", "r");
    while (smaps && fgets(line, sizeof line, smaps)) {
        inside |= strncmp(line, start, strlen(start)) == 0;
        if (inside && strncmp(line, "VmFlags", 7) == 0) {
            fputs(line, stdout);
            break;
        }
    }
    return 0;
}

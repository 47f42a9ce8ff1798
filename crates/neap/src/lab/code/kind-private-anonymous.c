#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SIZE (1UL << 30)

int main(void)
{
    char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    if (system("free -k"))
        return 1;
    memset(map, 'c', SIZE);
    /* RssAnon and used have risen. */
    return system("free -k; grep Rss /proc/$PPID/status");
}

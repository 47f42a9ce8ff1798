#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
    char path[] = "/tmp/denywrite-XXXXXX";
    int file = mkstemp(path);
    if (file < 0 || write(file, "a", 1) != 1)
        return 1;
    char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_DENYWRITE, file, 0);
    int other = open(path, O_WRONLY);
    ssize_t written = write(other, "b", 1);
    printf("open: %s, write: %zd, seen through the map: %c\n", other < 0 ? "refused" : "success",
           written, *map);
    unlink(path);
    return 0;
}

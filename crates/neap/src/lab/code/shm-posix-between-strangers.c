#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Start it twice, in two terminals: with an argument it writes and ends, without one it waits and reads. */
int main(int argc, char **argv)
{
    const char *name = "/neap-by-hand";
    if (argc > 1) {
        int file = shm_open(name, O_RDWR, 0);
        if (file < 0)
            return 1;
        char *bytes = mmap(NULL, 64, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (bytes == MAP_FAILED)
            return 1;
        printf("read %.64s\n", bytes);
        strncpy(bytes, argv[1], 63);
        return 0;
    }
    int file = shm_open(name, O_CREAT | O_RDWR, 0600);
    if (file < 0 || ftruncate(file, 64) != 0)
        return 1;
    char *bytes = mmap(NULL, 64, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED)
        return 1;
    strcpy(bytes, "hello");
    for (int second = 0; second < 60 && *(volatile char *)bytes == 'h'; second++)
        sleep(1);
    printf("found %.64s\n", bytes);
    return shm_unlink(name);
}

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    const char *name = "/neap-by-hand";
    const size_t length = 16 * 4096;
    pid_t child = fork();
    if (child == 0) {
        int file = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
        if (file < 0 || ftruncate(file, (off_t)length) != 0)
            _exit(1);
        char *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (bytes != MAP_FAILED)
            memset(bytes, 'c', length);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    struct stat status;
    int file = shm_open(name, O_RDWR, 0);
    if (file < 0 || fstat(file, &status) != 0)
        return 1;
    char *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED)
        return 1;
    printf("its maker has ended: %c, %ld bytes of memory\n", bytes[0], (long)status.st_blocks * 512);
    shm_unlink(name);
    return 0;
}

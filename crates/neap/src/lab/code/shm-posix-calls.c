#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    const char *name = "/neap-by-hand";
    const size_t length = 16 * 4096;
    struct stat status;
    int file = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (file < 0)
        return 1;
    fstat(file, &status);
    printf("new: %ld bytes\n", (long)status.st_size);
    if (ftruncate(file, (off_t)length) != 0)
        return 1;
    char *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED)
        return 1;
    memset(bytes, 'n', length);
    if (fchmod(file, 0640) != 0 || fchown(file, geteuid(), getegid()) != 0)
        return 1;
    fstat(file, &status);
    printf("mode %o, owner %u, %ld bytes\n", status.st_mode & 0777U, status.st_uid, (long)status.st_size);
    close(file);
    printf("after close: %c\n", bytes[length - 1]);
    munmap(bytes, length);
    printf("shm_unlink: %d\n", shm_unlink(name));
    int twice = shm_unlink(name);
    printf("once more: %d, %s\n", twice, strerror(errno));
    return 0;
}

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

static void show(const char *what, long answer)
{
    printf("%s: %s\n", what, answer < 0 ? strerror(errno) : "success");
}

int main(void)
{
    int file = memfd_create("by-hand", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0 || ftruncate(file, 4 * 4096) != 0)
        return 1;
    char *bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (bytes == MAP_FAILED)
        return 1;
    show("F_SEAL_SHRINK", fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK));
    show("shorter", ftruncate(file, 4096));
    show("F_SEAL_GROW", fcntl(file, F_ADD_SEALS, F_SEAL_GROW));
    show("longer", ftruncate(file, 1 << 20));
    show("F_SEAL_WRITE while mapped", fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
    show("F_SEAL_FUTURE_WRITE", fcntl(file, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    bytes[0] = 'o';
    show("write", write(file, "x", 1));
    show("a new map", (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    munmap(bytes, 4096);
    show("F_SEAL_WRITE", fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
    show("F_SEAL_SEAL", fcntl(file, F_ADD_SEALS, F_SEAL_SEAL));
    show("one more", fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK));
    int plain = memfd_create("by-hand", MFD_CLOEXEC);
    show("without MFD_ALLOW_SEALING", fcntl(plain, F_ADD_SEALS, F_SEAL_SHRINK));
    return 0;
}

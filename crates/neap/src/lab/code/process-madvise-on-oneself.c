#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

int main(void)
{
    char *map = mmap(NULL, 32 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec parts[] = { { map, 16384 }, { map + 8 * 4096, 16384 }, { map + 16 * 4096, 16384 } };
    memset(map, 7, 32 * 4096);
    int self = syscall(SYS_pidfd_open, getpid(), 0);
    printf("%ld bytes\n", syscall(SYS_process_madvise, self, parts, 3, MADV_DONTNEED, 0));
    printf("inside: %d, outside: %d\n", map[8 * 4096], map[4 * 4096]);
    mlock(map + 8 * 4096, 16384);
    printf("%ld bytes\n", syscall(SYS_process_madvise, self, parts, 3, MADV_DONTNEED, 0));
    return 0;
}

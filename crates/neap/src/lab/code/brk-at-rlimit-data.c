#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int main(void)
{
    struct rlimit limit, narrow;
    getrlimit(RLIMIT_DATA, &limit);
    narrow = limit;
    narrow.rlim_cur = 4096;
    sbrk(1 << 20);
    setrlimit(RLIMIT_DATA, &narrow);
    void *refused = sbrk(4096);
    int error = errno;
    char *high = sbrk(0);
    void *lowered = sbrk(-4096);
    long went = high - (char *)sbrk(0);
    setrlimit(RLIMIT_DATA, &limit);
    printf("up: %s; down: %s, %ld bytes went\n", refused == (void *)-1 ? strerror(error) : "success",
           lowered == (void *)-1 ? "failed" : "success", went);
    return 0;
}

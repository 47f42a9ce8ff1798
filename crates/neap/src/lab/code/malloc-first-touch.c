#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static long minor(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

int main(void)
{
    const size_t len = 4 << 20;
    long before = minor();
    volatile char *block = malloc(len);
    long given = minor();
    if (block == NULL)
        return 1;
    for (size_t i = 0; i < len; i += 4096)
        block[i] = 1;
    long first = minor();
    for (size_t i = 0; i < len; i += 4096)
        block[i] = 1;
    long second = minor();
    printf("faults: malloc %ld, first writes %ld, second %ld\n", given - before, first - given,
           second - first);
    free((void *)block);
    return 0;
}

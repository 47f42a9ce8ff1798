/* A program that does nothing uses no processor time, also after a burst and with memory still held. */
#include "check.h"

static long long used_us(void) {
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

int main(void) {
    static void *blocks[100000];
    for (size_t i = 0; i < 100000; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        memset(blocks[i], 1, 1000);
    }
    for (size_t i = 0; i < 100000; i++)
        if (i % 7)
            free(blocks[i]);
    sleep_ms(1500);
    long long before = used_us();
    sleep_ms(2000);
    CHECK_AT_MOST(used_us() - before, 20000);
    return 0;
}

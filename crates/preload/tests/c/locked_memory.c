/* mlockall(2) with MCL_CURRENT|MCL_FUTURE, which databases and audio programs call, stays cheap: what
   the heap has reserved but does not use costs neither time, nor memory, nor page tables. Of time only gross
   waste is judged here; that the call takes milliseconds follows from the bytes. */
#include "check.h"

int main(void) {
    free(malloc(1000));
    struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &most);
    long long tables = proc_number("/proc/self/status", "\nVmPTE:"), start = now_ms();
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        SKIP("mlockall: %s\n", strerror(errno));
    CHECK_AT_MOST(now_ms() - start, 3000);
    long long locked = proc_number("/proc/self/status", "\nVmLck:");
    CHECK_AT_MOST(proc_number("/proc/self/status", "\nVmPTE:"), tables + 512);
    CHECK_AT_MOST(locked, 16 * 1024);
    CHECK_AT_MOST(resident(), 24 * MIB);
    printf("%lld KiB locked\n", locked);
    for (int round = 0; round < 5; round++) {
        static void *blocks[20000];
        for (size_t i = 0; i < 20000; i++) {
            CHECK((blocks[i] = malloc(1000)) != NULL);
            memset(blocks[i], 1, 1000);
        }
        for (size_t i = 0; i < 20000; i++)
            free(blocks[i]);
        sleep_ms(60);
    }
    CHECK_AT_MOST(now_ms() - start, 10000);
    CHECK(munlockall() == 0);
    return 0;
}

/* The same burst over and over: what giving back costs those who want the memory again.
   usage: cycle ROUNDS PAUSE_MS on|off
   About 50 MiB in 500 000 blocks of 22 to 378 bytes are allocated, touched and freed, ROUNDS times, with a pause
   after each. `off`: mallopt(M_TRIM_THRESHOLD, -1), which means "never give back" to glibc and neap.
   Says `cycle BYTES WALL_NS CPU_NS FAULTS`: of one round on average, the first left out; pauses are not in it. */
#include "child.h"
#include <malloc.h>
#include <math.h>
#include <sys/resource.h>

enum { BLOCKS = 500000 };

static long faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

int main(int count, char **words) {
    if (count != 4)
        give_up("three words are wanted");
    int rounds = atoi(words[1]), pause_ms = atoi(words[2]);
    char **at = own_memory(BLOCKS * sizeof *at);
    uint16_t *size = own_memory(BLOCKS * sizeof *size);
    uint64_t random = 88172645463325252ull;
    size_t bytes = 0;
    for (size_t i = 0; i < BLOCKS; i++)
        bytes += size[i] = (uint16_t)(16 + exp(next_share(&random) * 4.1) * 6);
    if (strcmp(words[3], "off") == 0)
        mallopt(M_TRIM_THRESHOLD, -1);

    long long wall = 0, cpu = 0;
    long faulted = 0;
    for (int round = 0; round < rounds; round++) {
        long long wall_start = nanoseconds(CLOCK_MONOTONIC);
        if (round == 1)
            cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID), faulted = faults();
        for (size_t i = 0; i < BLOCKS; i++) {
            if ((at[i] = malloc(size[i])) == NULL)
                give_up("malloc returned null");
            at[i][0] = 1;
        }
        for (size_t i = 0; i < BLOCKS; i++)
            free(at[i]);
        if (round > 0)
            wall += nanoseconds(CLOCK_MONOTONIC) - wall_start;
        if (pause_ms > 0)
            nanosleep(&(struct timespec){pause_ms / 1000, pause_ms % 1000 * 1000000L}, NULL);
    }
    cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    faulted = faults() - faulted;
    int counted = rounds - 1;
    say("cycle %zu %lld %lld %ld\n", bytes, wall / counted, cpu / counted, faulted / counted);
    _exit(0);
}

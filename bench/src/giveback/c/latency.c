/* How long a single malloc and a single free take: every call of a burst-and-free workload on its own.
   usage: latency nothing|mixed|extents|huge wall|cpu MILLISECONDS

   mixed: 256 MiB in blocks of 16 B to 64 KiB, freed in random order but for a tenth; extents: 256 MiB in blocks
   of 1 to 30 MiB; huge: four blocks of 32 to 128 MiB; nothing: no call at all, for what the machine itself does
   between two looks at the clock. wall: the processor's time stamp counter, its own cost taken off. cpu: the
   thread's processor time, which leaves out interruptions but costs a system call.
   Says `worst KIND NS SIZE ROUND CALL` for the five longest, `bucket KIND NS N` for each bucket
   (16 to an octave, NS its lower bound). */
#include "child.h"
#include <math.h>

enum { SUBS = 16, BUCKETS = 64 * SUBS, WORST = 5, MALLOC = 0, FREE = 1 };
struct outlier {
    uint64_t ticks;
    size_t size;
    unsigned round, call;
};
static uint64_t *histogram[2];
static struct outlier worst[2][WORST];
static uint64_t overhead;
static unsigned round_now, call_now;
static int by_cpu;

static inline uint64_t ticks(void) {
    if (by_cpu)
        return (uint64_t)nanoseconds(CLOCK_THREAD_CPUTIME_ID);
#if defined(__x86_64__)
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
#else
    return (uint64_t)nanoseconds(CLOCK_MONOTONIC);
#endif
}

static unsigned bucket_of(uint64_t value) {
    if (value < SUBS)
        return (unsigned)value;
    unsigned octave = 63 - (unsigned)__builtin_clzll(value);
    return (octave - 3) * SUBS + (unsigned)(value >> (octave - 4) & (SUBS - 1));
}

static uint64_t bucket_start(unsigned bucket) {
    if (bucket < SUBS)
        return bucket;
    return (uint64_t)(SUBS + bucket % SUBS) << (bucket / SUBS - 1);
}

static void note(int kind, uint64_t took, size_t size) {
    took = took > overhead ? took - overhead : 0;
    histogram[kind][bucket_of(took)]++;
    call_now++;
    if (took <= worst[kind][WORST - 1].ticks)
        return;
    int i = WORST - 1;
    for (; i > 0 && worst[kind][i - 1].ticks < took; i--)
        worst[kind][i] = worst[kind][i - 1];
    worst[kind][i] = (struct outlier){took, size, round_now, call_now};
}

static void measure_overhead(void) {
    overhead = UINT64_MAX;
    for (int i = 0; i < 20000; i++) {
        uint64_t start = ticks(), took = ticks() - start;
        if (took < overhead)
            overhead = took;
    }
}

struct shape {
    size_t bytes, smallest, largest, survivors_of_ten;
};

static size_t size_of(const struct shape *shape, uint64_t *random) {
    double low = log((double)shape->smallest), high = log((double)shape->largest);
    return (size_t)exp(low + next_share(random) * (high - low));
}

static void one_round(const struct shape *shape, char **at, size_t *size, size_t room, uint64_t *random) {
    size_t total = 0, n = 0;
    for (; n < room; n++) {
        if (at[n] == NULL) {
            if (total >= shape->bytes)
                break;
            size[n] = size_of(shape, random);
            uint64_t start = ticks();
            at[n] = malloc(size[n]);
            note(MALLOC, ticks() - start, size[n]);
            if (at[n] == NULL)
                give_up("malloc returned null");
            for (size_t byte = 0; byte < size[n]; byte += PAGE)
                at[n][byte] = 1;
        }
        total += size[n];
    }
    for (size_t left = n; left > 1; left--) {
        size_t other = next_random(random) % left, s = size[other];
        char *a = at[other];
        at[other] = at[left - 1], size[other] = size[left - 1];
        at[left - 1] = a, size[left - 1] = s;
    }
    for (size_t i = 0; i < n; i++)
        if (next_random(random) % 10 >= shape->survivors_of_ten) {
            uint64_t start = ticks();
            free(at[i]);
            note(FREE, ticks() - start, size[i]);
            at[i] = NULL;
        }
}

int main(int count, char **words) {
    if (count != 4)
        give_up("three words are wanted");
    static const struct shape mixed = {256 * MIB, 16, 65536, 1}, extents = {256 * MIB, MIB, 30 * MIB, 1},
                              huge = {256 * MIB, 32 * MIB, 128 * MIB, 0};
    const struct shape *shape = words[1][0] == 'm' ? &mixed : words[1][0] == 'e' ? &extents : &huge;
    by_cpu = strcmp(words[2], "cpu") == 0;
    long long limit = atoll(words[3]) * 1000000;
    size_t room = shape->bytes / shape->smallest / 100 + 4096;
    char **at = own_memory(room * sizeof *at);
    size_t *size = own_memory(room * sizeof *size);
    for (int kind = 0; kind < 2; kind++)
        histogram[kind] = own_memory(BUCKETS * sizeof *histogram[kind]);
    uint64_t random = 88172645463325252ull;
    measure_overhead();

    long long start_ns = nanoseconds(CLOCK_MONOTONIC), took_ns;
    uint64_t start = ticks();
    do {
        if (strcmp(words[1], "nothing") == 0)
            for (int i = 0; i < 100000; i++) {
                uint64_t before = ticks();
                note(FREE, ticks() - before, 0);
            }
        else
            one_round(shape, at, size, room, &random);
        round_now++, call_now = 0;
    } while ((took_ns = nanoseconds(CLOCK_MONOTONIC) - start_ns) < limit);
    double ns_per_tick = by_cpu ? 1 : (double)took_ns / (double)(ticks() - start);

    static const char *const names[2] = {"malloc", "free"};
    for (int kind = 0; kind < 2; kind++) {
        for (int i = 0; i < WORST; i++) {
            const struct outlier *o = &worst[kind][i];
            say("worst %s %.0f %zu %u %u\n", names[kind], (double)o->ticks * ns_per_tick, o->size, o->round, o->call);
        }
        for (unsigned b = 0; b < BUCKETS; b++)
            if (histogram[kind][b])
                say("bucket %s %.1f %llu\n", names[kind], (double)bucket_start(b) * ns_per_tick,
                    (unsigned long long)histogram[kind][b]);
    }
    _exit(0);
}

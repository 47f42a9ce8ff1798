/* After a burst of some 200 MiB the resident memory falls to the pages that hold a live byte, while the
   program makes no call of malloc. argv[1] names who survives. */
#include "check.h"
#include <pthread.h>

enum { LIMIT = 420000, THREADS_LIMIT = 120000, THREADS = 4 };
struct block {
    char *at;
    size_t size;
};
static struct block *blocks;
static size_t count;

/* Until `bytes` are there, or the books are full. */
static void fill(size_t bytes, size_t (*size_of)(uint64_t *)) {
    uint64_t random = 2024;
    size_t total = 0;
    for (count = 0; total < bytes && count < LIMIT; count++) {
        size_t size = size_of(&random);
        blocks[count].size = size;
        CHECK((blocks[count].at = malloc(size)) != NULL);
        memset(blocks[count].at, (int)count | 1, size);
        total += size;
    }
}

static void release(size_t i) {
    free(blocks[i].at);
    blocks[i].at = NULL;
}

static size_t mixed(uint64_t *random) { return random_size(random); }
static size_t small(uint64_t *random) { return 1024 + next_random(random) % 1024; }
static size_t tiny(uint64_t *random) { return 16 + next_random(random) % 1009; }
static size_t runs(uint64_t *random) { return 100 * KIB + next_random(random) % (700 * KIB); }
static size_t extents(uint64_t *random) { return 2 * MIB + next_random(random) % (20 * MIB); }

static int by_page(const void *a, const void *b) {
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

/* Bytes of the pages on which a live block has a byte: what no heap that cannot move blocks can give
   back. In the books of the program, not on the heap. */
static size_t page_floor(void) {
    size_t room = 0, pages = 0, distinct = 0;
    for (size_t i = 0; i < count; i++)
        if (blocks[i].at != NULL)
            room += blocks[i].size / 4096 + 2;
    uintptr_t *list = mmap(NULL, (room + 1) * sizeof *list, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(list != MAP_FAILED);
    for (size_t i = 0; i < count; i++)
        if (blocks[i].at != NULL)
            for (uintptr_t page = (uintptr_t)blocks[i].at / 4096; page <= ((uintptr_t)blocks[i].at + blocks[i].size - 1) / 4096; page++)
                list[pages++] = page;
    /* qsort(3) of glibc allocates above 1 KiB: sort in place instead, by heap. */
    for (size_t start = pages / 2; start-- > 0;) {
        for (size_t root = start, child; (child = 2 * root + 1) < pages; root = child) {
            if (child + 1 < pages && by_page(&list[child], &list[child + 1]) < 0)
                child++;
            if (by_page(&list[root], &list[child]) >= 0)
                break;
            uintptr_t swap = list[root];
            list[root] = list[child], list[child] = swap;
        }
    }
    for (size_t end = pages; end-- > 1;) {
        uintptr_t largest = list[0];
        list[0] = list[end], list[end] = largest;
        for (size_t root = 0, child; (child = 2 * root + 1) < end; root = child) {
            if (child + 1 < end && list[child] < list[child + 1])
                child++;
            if (list[root] >= list[child])
                break;
            uintptr_t swap = list[root];
            list[root] = list[child], list[child] = swap;
        }
    }
    for (size_t i = 0; i < pages; i++)
        distinct += i == 0 || list[i] != list[i - 1];
    munmap(list, (room + 1) * sizeof *list);
    return distinct * 4096;
}

static void fills_and_survivors(const char *who) {
    size_t last = 0;
    if (strcmp(who, "scattered_tiny") == 0) {
        fill(200 * MIB, tiny);
        uint64_t random = 7;
        for (size_t i = 0; i < count; i++)
            if (next_random(&random) % 10)
                release(i);
    } else if (strcmp(who, "none") == 0 || strcmp(who, "none_of_small") == 0) {
        fill(200 * MIB, who[4] ? small : mixed);
        for (size_t i = 0; i < count; i++)
            release(i);
    } else if (strcmp(who, "scattered") == 0) {
        fill(200 * MIB, mixed);
        uint64_t random = 7;
        for (size_t i = 0; i < count; i++)
            if (next_random(&random) % 10)
                release(i);
    } else if (strcmp(who, "one_in_a_thousand") == 0) {
        fill(200 * MIB, mixed);
        for (size_t i = 0; i < count; i++)
            if (i % 1000)
                release(i);
    } else if (strcmp(who, "oldest") == 0 || strcmp(who, "youngest") == 0) {
        fill(200 * MIB, mixed);
        last = count / 10;
        for (size_t i = 0; i < count; i++)
            if (who[0] == 'o' ? i >= last : i < count - last)
                release(i);
    } else if (strcmp(who, "every_tenth_run") == 0) {
        fill(200 * MIB, runs);
        for (size_t i = 0; i < count; i++)
            if (i % 10)
                release(i);
    } else if (strcmp(who, "every_fourth_extent") == 0) {
        fill(200 * MIB, extents);
        for (size_t i = 0; i < count; i++)
            if (i % 4)
                release(i);
    } else {
        CHECK(!"a pattern of this program");
    }
}

static pthread_barrier_t turn;
static char *threads_blocks[THREADS][THREADS_LIMIT / THREADS];
static int stay;

static void *allocate_in_thread(void *number) {
    size_t me = (size_t)(uintptr_t)number;
    uint64_t random = me + 1;
    for (size_t i = 0; i < THREADS_LIMIT / THREADS; i++) {
        size_t size = small(&random);
        CHECK((threads_blocks[me][i] = malloc(size)) != NULL);
        memset(threads_blocks[me][i], 1, size);
    }
    pthread_barrier_wait(&turn);
    if (stay == 2)
        for (size_t i = 0; i < THREADS_LIMIT / THREADS; i++)
            free(threads_blocks[me][i]);
    pthread_barrier_wait(&turn);
    if (stay)
        for (;;)
            sleep_ms(10000);
    return NULL;
}

/* 1: main frees what threads that have ended allocated; 2: threads that go on waiting for ever free
   their own; 3: main frees what threads that go on waiting allocated. */
static void in_threads(int how) {
    pthread_t threads[THREADS];
    stay = how == 1 ? 0 : how == 2 ? 2 : 1;
    CHECK(pthread_barrier_init(&turn, NULL, THREADS + 1) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate_in_thread, (void *)i) == 0);
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    for (int i = 0; i < THREADS && how == 1; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    if (how != 2)
        for (size_t t = 0; t < THREADS; t++)
            for (size_t i = 0; i < THREADS_LIMIT / THREADS; i++)
                free(threads_blocks[t][i]);
}

int main(int argc, char **argv) {
    CHECK(argc >= 2);
    blocks = own_pages(LIMIT * sizeof *blocks);
    memset(threads_blocks, 1, sizeof threads_blocks);
    free(malloc(100));
    size_t base = resident();
    if (strncmp(argv[1], "threads", 7) == 0)
        in_threads(argv[1][7] - '0');
    else
        fills_and_survivors(argv[1]);
    size_t kept = page_floor();
    size_t live = 0;
    for (size_t i = 0; i < count; i++)
        live += blocks[i].at ? blocks[i].size : 0;
    CHECK_AT_LEAST(resident_peak(), base + 150 * MIB);

    /* Without a helper the pages go when the program next calls, a few at a time; otherwise nothing is called. */
    int calls = argc < 3 ? 0 : strcmp(argv[2], "calling") == 0 ? 3000 : strcmp(argv[2], "seldom") == 0 ? 1 : 0;
    CHECK((argc == 3) == (calls != 0));
    size_t allowed = base + kept + kept / 8 + 8 * MIB;
    long long start = now_ms(), deadline = start + 3000;
    size_t now;
    while ((now = resident()) > allowed && now_ms() < deadline) {
        for (int i = 0; i < calls; i++)
            free(OPAQUE(malloc(100 + (size_t)i % 20000)));
        sleep_ms(10);
    }
    printf("%s: live %zu KiB, pages with a live byte %zu KiB, resident %zu KiB above the start after %lld ms\n",
           argv[1], live / KIB, kept / KIB, (now - base) / KIB, now_ms() - start);
    fflush(stdout);
    CHECK_AT_MOST(now, allowed);
    for (size_t i = 0; i < count; i++)
        CHECK(blocks[i].at == NULL || (blocks[i].at[0] == (char)(i | 1) && blocks[i].at[blocks[i].size - 1] == (char)(i | 1)));
    return 0;
}

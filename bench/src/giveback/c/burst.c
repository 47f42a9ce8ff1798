/* A burst that ends: fills, frees all but the survivors, then does nothing, or one malloc and free in 10 ms.
   usage: burst random|youngest|oldest SHARE MIB SMALLEST LARGEST main|exit|idle idle|calling

   SHARE of the blocks survives. `exit`: four threads fill and end before the main thread frees; `idle`: the
   same, but they stay, blocked. Says, each on a line, and waits for a byte from the parent after each:
     base                     the books are in place, malloc and free were called once
     full                     all blocks are there
     freed LIVE BLOCKS PAGES PACKED    the last free has just returned: bytes requested that live, in so many
                              blocks; pages on which one of them has a byte; the same count if blocks lay
                              end to end in the order in which they came
     kept                     every survivor has its contents */
#include "child.h"
#include <math.h>
#include <pthread.h>

enum { THREADS = 4 };

struct book {
    char **at;
    uint32_t *size;
    size_t count, room, bytes;
    uint64_t random;
};
static struct book books[THREADS];
static int parts = 1, threads_stay;
static double log_smallest, log_largest;
static pthread_barrier_t filled;

static void open_book(struct book *book, size_t bytes, uint64_t seed) {
    double smallest = exp(log_smallest), largest = exp(log_largest);
    double mean = log_largest > log_smallest ? (largest - smallest) / (log_largest - log_smallest) : smallest;
    book->room = (size_t)((double)bytes / mean * 1.1) + 4096;
    book->at = own_memory(book->room * sizeof *book->at);
    book->size = own_memory(book->room * sizeof *book->size);
    book->bytes = bytes;
    book->random = seed * 88172645463325252ull + 12345;
}

static void fill(struct book *book) {
    size_t total = 0, n = 0;
    for (; total < book->bytes && n < book->room; n++) {
        size_t size = (size_t)exp(log_smallest + next_share(&book->random) * (log_largest - log_smallest));
        char *at = malloc(size);
        if (at == NULL)
            give_up("malloc returned null");
        memset(at, (int)(n | 1), size);
        book->at[n] = at;
        book->size[n] = (uint32_t)size;
        total += size;
    }
    book->count = n;
}

static void *fill_in_thread(void *book) {
    fill(book);
    pthread_barrier_wait(&filled);
    while (threads_stay)
        pause();
    return NULL;
}

static void fill_all(const char *who) {
    if (strcmp(who, "main") == 0) {
        fill(&books[0]);
        return;
    }
    pthread_t threads[THREADS];
    pthread_barrier_init(&filled, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, fill_in_thread, &books[i]) != 0)
            give_up("no thread");
    pthread_barrier_wait(&filled);
    for (int i = 0; i < THREADS && !threads_stay; i++)
        pthread_join(threads[i], NULL);
}

/* A survivor's size keeps its value; the size of a block that is to be freed becomes 0. */
static void choose(struct book *book, const char *which, double share) {
    uint64_t random = 2463534242ull + book->count;
    size_t edge = (size_t)((double)book->count * (which[0] == 'o' ? share : 1 - share));
    for (size_t i = 0; i < book->count; i++) {
        int lives = which[0] == 'r' ? next_share(&random) < share : which[0] == 'o' ? i < edge : i >= edge;
        if (!lives)
            book->size[i] = 0;
    }
}

/* One bit for each page of the lower half of the address space: only what is touched becomes memory. */
static size_t page_floor(void) {
    size_t room = (size_t)1 << (47 - 12 - 3), pages = 0;
    uint8_t *seen = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (seen == MAP_FAILED)
        give_up("no room to count pages");
    for (int b = 0; b < parts; b++)
        for (size_t i = 0; i < books[b].count; i++) {
            uintptr_t start = (uintptr_t)books[b].at[i];
            if (books[b].size[i] == 0)
                continue;
            for (uintptr_t page = start / PAGE; page <= (start + books[b].size[i] - 1) / PAGE; page++) {
                pages += !(seen[page / 8] >> page % 8 & 1);
                seen[page / 8] |= (uint8_t)(1 << page % 8);
            }
        }
    munmap(seen, room);
    return pages;
}

/* `sizes` before the choice were copied here: blocks end to end, 16 bytes aligned. */
static size_t packed_floor(uint32_t *const *sizes) {
    size_t pages = 0;
    for (int b = 0; b < parts; b++) {
        size_t at = 0, next_page = 0;
        for (size_t i = 0; i < books[b].count; i++) {
            size_t size = sizes[b][i], last = (at + size - 1) / PAGE, first = at / PAGE;
            if (books[b].size[i] != 0) {
                if (first < next_page)
                    first = next_page;
                if (last + 1 > first)
                    pages += last + 1 - first, next_page = last + 1;
            }
            at += (size + 15) & ~(size_t)15;
        }
    }
    return pages;
}

static size_t choose_all(const char *which, double share) {
    uint32_t *before[THREADS];
    for (int b = 0; b < parts; b++) {
        before[b] = own_memory(books[b].count * sizeof *before[b] + 1);
        memcpy(before[b], books[b].size, books[b].count * sizeof *before[b]);
        choose(&books[b], which, share);
    }
    size_t packed = packed_floor(before);
    for (int b = 0; b < parts; b++)
        munmap(before[b], books[b].count * sizeof *before[b] + 1);
    return packed;
}

static void verify(void) {
    for (int b = 0; b < parts; b++)
        for (size_t i = 0; i < books[b].count; i++) {
            size_t size = books[b].size[i];
            char want = (char)(i | 1);
            if (size != 0 && (books[b].at[i][0] != want || books[b].at[i][size - 1] != want))
                give_up("a survivor lost its contents");
        }
}

/* Almost idle: until the parent speaks. */
static void call_now_and_then(void) {
    struct timespec pause_10_ms = {0, 10000000};
    for (;;) {
        fd_set set;
        struct timeval at_once = {0, 0};
        FD_ZERO(&set);
        FD_SET(0, &set);
        if (select(1, &set, NULL, NULL, &at_once) != 0)
            return;
        char *at = OPAQUE((char *)malloc(100));
        at[0] = 1;
        free(OPAQUE(at));
        nanosleep(&pause_10_ms, NULL);
    }
}

int main(int count, char **words) {
    if (count != 8)
        give_up("seven words are wanted");
    const char *which = words[1], *who = words[6];
    double share = atof(words[2]);
    size_t bytes = strtoul(words[3], NULL, 10) * MIB;
    log_smallest = log(atof(words[4]));
    log_largest = log(atof(words[5]));
    parts = strcmp(who, "main") == 0 ? 1 : THREADS;
    threads_stay = strcmp(who, "idle") == 0;
    for (int b = 0; b < parts; b++)
        open_book(&books[b], bytes / (size_t)parts, (uint64_t)b + 1);
    free(OPAQUE(malloc(100)));
    say("base\n");
    wait_for_parent();

    fill_all(who);
    size_t packed = choose_all(which, share), pages = page_floor(), live = 0, blocks = 0;
    for (int b = 0; b < parts; b++)
        for (size_t i = 0; i < books[b].count; i++)
            live += books[b].size[i], blocks += books[b].size[i] != 0;
    say("full\n");
    wait_for_parent();

    for (int b = 0; b < parts; b++)
        for (size_t i = 0; i < books[b].count; i++)
            if (books[b].size[i] == 0)
                free(books[b].at[i]);
    say("freed %zu %zu %zu %zu\n", live, blocks, pages, packed);
    if (strcmp(words[7], "calling") == 0)
        call_now_and_then();
    wait_for_parent();
    verify();
    say("kept\n");
    _exit(0);
}

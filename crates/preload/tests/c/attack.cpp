// One attack on the heap, in one of many variants: what surrounds the victim, its size and what follows are
// drawn from a seed. Ends with "end" on standard output and status 0 if nobody stopped it, and with 77 if
// this allocator has not got the function that is attacked. A heap that checks stops it by a signal and a
// message. argv: KIND SEED.
#include "check.h"
#include <new>
#include <pthread.h>

extern "C" void free_sized(void *, size_t) __attribute__((weak));
extern "C" void free_aligned_sized(void *, size_t, size_t) __attribute__((weak));

static uint64_t seed;

static size_t upto(size_t most) { return next_random(&seed) % most; }

// Sizes of small blocks, most of them not multiples of 16.
static size_t small_size() { return upto(2) ? 1 + upto(200) : 1 + upto(2000); }

// Neighbours: a heap in use, with holes.
enum { NOISE = 400 };
static char *noise[NOISE];

static void stir(int steps) {
    for (int i = 0; i < steps; i++) {
        size_t at = upto(NOISE);
        free(noise[at]);
        noise[at] = upto(4) == 0 ? NULL : static_cast<char *>(malloc(small_size()));
        if (noise[at] != NULL)
            noise[at][0] = 1;
    }
}

// The victim lies among blocks of its own size.
static char *victim(size_t size) {
    char *around[7], *chosen;
    for (char *&block : around)
        CHECK((block = static_cast<char *>(malloc(size))) != NULL);
    size_t at = upto(7);
    chosen = around[at];
    memset(chosen, 7, size);
    for (size_t i = 0; i < 7; i++)
        if (i != at && upto(2))
            free(around[i]);
    return OPAQUE(chosen);
}

// What an attack in the middle of a program is followed by: the program goes on.
static void go_on(size_t size) {
    char *blocks[64];
    for (int round = 0; round < 40; round++) {
        for (char *&block : blocks)
            if ((block = static_cast<char *>(malloc(round % 2 ? size : small_size()))) != NULL)
                block[0] = 2;
        for (char *block : blocks)
            free(block);
    }
    stir(2000);
}

static void *free_here(void *block) {
    free(block);
    return NULL;
}

static void in_thread(void *block) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, free_here, block) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void double_free(size_t size, size_t between, bool reused, bool thread) {
    char *block = victim(size);
    char **others = static_cast<char **>(own_pages((between + 1) * sizeof(char *)));
    for (size_t i = 0; i < between; i++)
        others[i] = static_cast<char *>(malloc(small_size()));
    free(block);
    for (size_t i = 0; i < between; i++)
        free(others[i]);
    for (int i = 0; reused && i < 300; i++)
        memset(malloc(size), 3, size);
    thread ? in_thread(block) : free(OPAQUE(block));
    go_on(size);
}

static char variable[64] __attribute__((aligned(16)));

static void foreign(const char *where) {
    char local[64] __attribute__((aligned(16)));
    void *pointer = local;
    if (strcmp(where, "static") == 0)
        pointer = variable;
    else if (strcmp(where, "mapping") == 0)
        pointer = static_cast<char *>(own_pages(MIB)) + 16 * upto(1000);
    else if (strcmp(where, "break") == 0)
        pointer = static_cast<char *>(sbrk(4096)) + 64;
    free(OPAQUE(pointer));
    go_on(48);
}

static void write_after_free(size_t size, size_t offset, size_t bytes, bool much_later) {
    char *block = victim(size);
    free(block);
    if (much_later)
        stir(3000);
    memset(OPAQUE(block) + offset, 0x41, bytes);
    go_on(size);
}

// The quarantine is bounded: the block leaves it while the program still runs, and the program is to be stopped
// then.
static void write_after_free_left(size_t size) {
    char *block = victim(size);
    free(block);
    memset(OPAQUE(block) + upto(size), 0x41, 1);
    for (int i = 0; i < 200; i++)
        free(OPAQUE(malloc(size)));
    _exit(write(1, "end\n", 4) != 4);
}

static void overflow(size_t size, ptrdiff_t offset, size_t bytes) {
    char *block = victim(size);
    memset(OPAQUE(block) + offset, 0x41, bytes);
    free(block);
    go_on(size);
}

static void smashed_list(size_t size) {
    char *blocks[64];
    for (char *&block : blocks)
        CHECK((block = static_cast<char *>(malloc(size))) != NULL);
    for (char *block : blocks)
        free(block);
    for (char *block : blocks)
        *reinterpret_cast<uintptr_t *>(OPAQUE(block)) = 0x4141414141414140 + upto(256) * 16;
    go_on(size);
}

static bool wrong_size(const char *kind) {
    size_t size = small_size(), wrong = upto(2) ? size + 1 + upto(2000) : size / 2;
    wrong += wrong == size;
    if (strcmp(kind, "sized_free") == 0) {
        if (free_sized == NULL)
            return false;
        free_sized(victim(size), wrong);
    } else if (strcmp(kind, "aligned_free_size") == 0 || strcmp(kind, "aligned_free_alignment") == 0) {
        if (free_aligned_sized == NULL)
            return false;
        char *block = static_cast<char *>(aligned_alloc(64, 640));
        memset(block, 1, 640);
        // An alignment that the block has not got.
        size_t alignment = 64;
        while ((reinterpret_cast<uintptr_t>(block) & (alignment - 1)) == 0)
            alignment *= 2;
        strcmp(kind, "aligned_free_size") == 0 ? free_aligned_sized(block, 64, 600 - upto(500))
                                               : free_aligned_sized(block, alignment, 640);
    } else {
        char *block = static_cast<char *>(operator new(size));
        memset(block, 1, size);
        strcmp(kind, "sized_delete") == 0 ? operator delete(OPAQUE(block), wrong)
                                          : operator delete(OPAQUE(block), size, std::align_val_t(1 << 30));
    }
    go_on(size);
    return true;
}

static void mismatch(const char *kind) {
    size_t size = small_size();
    if (strcmp(kind, "new_and_free") == 0)
        free(OPAQUE(operator new(size)));
    else if (strcmp(kind, "malloc_and_delete") == 0)
        operator delete(OPAQUE(malloc(size)));
    else
        operator delete(OPAQUE(operator new[](size)));
    go_on(size);
}

static bool starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static bool attack(const char *kind) {
    size_t size = small_size(), large = 9000 + upto(900000), word = (size + 8) & ~size_t(7);
    // Not drawn: the attacks above keep their variants.
    size_t extent = MIB + large * 4;
    if (strcmp(kind, "none") == 0)
        go_on(size), free(victim(size)), free(victim(large));
    else if (strcmp(kind, "double_free_near") == 0)
        double_free(size, upto(2), false, false);
    else if (strcmp(kind, "double_free_far") == 0)
        double_free(size, 20 + upto(3000), false, false);
    else if (strcmp(kind, "double_free_large") == 0)
        double_free(large, upto(30), false, false);
    else if (strcmp(kind, "double_free_reused") == 0)
        double_free(size, upto(3000), true, false);
    else if (strcmp(kind, "double_free_thread") == 0)
        double_free(size, upto(40), false, true);
    else if (starts(kind, "free_"))
        foreign(kind + 5);
    else if (strcmp(kind, "interior_aligned") == 0)
        free(victim(size + 32) + 16 * (1 + upto(size / 16 + 1))), go_on(size);
    else if (strcmp(kind, "interior_odd") == 0)
        free(victim(size + 32) + 1 + upto(15)), go_on(size);
    else if (strcmp(kind, "interior_large") == 0)
        free(victim(large) + 16 * (1 + upto(large / 16 - 2))), go_on(size);
    else if (strcmp(kind, "write_after_free") == 0)
        write_after_free(size, 0, size, false);
    else if (strcmp(kind, "write_after_free_byte") == 0)
        write_after_free(size, upto(size), 1, false);
    else if (strcmp(kind, "write_after_free_later") == 0)
        write_after_free(size, upto(size), 1, true);
    else if (strcmp(kind, "write_after_free_large") == 0)
        write_after_free(large, upto(large - 8), 8, false);
    else if (strcmp(kind, "write_after_free_extent") == 0)
        write_after_free(extent, upto(extent - 8), 8, false);
    else if (strcmp(kind, "write_after_free_left") == 0)
        write_after_free_left(large);
    else if (strcmp(kind, "double_free_extent") == 0)
        double_free(extent, upto(3), false, upto(2));
    else if (strcmp(kind, "overflow_one") == 0)
        overflow(size, (ptrdiff_t)size, 1);
    else if (strcmp(kind, "overflow_word") == 0)
        overflow(word, (ptrdiff_t)word, 8);
    else if (strcmp(kind, "overflow_many") == 0)
        overflow(size, (ptrdiff_t)size, 30 + upto(300));
    else if (strcmp(kind, "overflow_next") == 0)
        overflow(size, (ptrdiff_t)(size + 40), 16);
    else if (strcmp(kind, "overflow_page") == 0)
        overflow((large | 4095) + 1, (ptrdiff_t)((large | 4095) + 1), 1 + upto(16));
    else if (strcmp(kind, "underflow_one") == 0)
        overflow(size, -1, 1);
    else if (strcmp(kind, "underflow_word") == 0)
        overflow(size, -8, 8);
    else if (strcmp(kind, "underflow_many") == 0)
        overflow(size, -32 - (ptrdiff_t)upto(64), 32);
    else if (strcmp(kind, "smashed_list") == 0)
        smashed_list(word);
    else if (strcmp(kind, "realloc_freed") == 0) {
        char *block = victim(size);
        free(block);
        block = static_cast<char *>(realloc(OPAQUE(block), 1 + upto(4000)));
        go_on(size);
    } else if (strcmp(kind, "realloc_freed_large") == 0) {
        char *block = victim(large);
        free(block);
        block = static_cast<char *>(realloc(OPAQUE(block), 1 + upto(40000)));
        go_on(size);
    } else if (strcmp(kind, "usable_freed") == 0 || strcmp(kind, "usable_freed_large") == 0) {
        char *block = victim(strcmp(kind, "usable_freed") == 0 ? size : large);
        free(block);
        OPAQUE(malloc_usable_size(OPAQUE(block)));
        go_on(size);
    } else if (starts(kind, "new_") || starts(kind, "malloc_"))
        mismatch(kind);
    else
        return wrong_size(kind);
    return true;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    // A heap that goes round in circles shall not do so for long.
    struct rlimit seconds = {5, 5};
    setrlimit(RLIMIT_CPU, &seconds);
    seed = strtoull(argv[2], NULL, 10) * 0x9e3779b97f4a7c15ULL + 1;
    alarm(20);
    stir(1000 + (int)upto(2000));
    if (!attack(argv[1]))
        return 77;
    for (char *block : noise)
        free(block);
    if (write(1, "end\n", 4) != 4)
        return 1;
    return 0;
}

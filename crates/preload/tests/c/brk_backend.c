/* With NEAP_BACKEND=brk memory comes from the program break: it grows, its free top is given back, it
   survives that the program moves the break itself, and free pages below the top go back by madvise.
   brk(2), sbrk(2); argv[1] names the part. */
#include "check.h"

enum { BLOCKS = 100 * 1024 };
static void **blocks;

static size_t break_now(void) { return (size_t)sbrk(0); }

static void fill(void) {
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        memset(blocks[i], 1, 1000);
    }
}

static void empty(void) {
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

static void grows_and_shrinks(void) {
    size_t start = break_now();
    fill();
    CHECK_AT_LEAST(break_now(), start + 90 * MIB);
    size_t inside = 0;
    for (size_t i = 0; i < BLOCKS; i++)
        inside += (size_t)blocks[i] < break_now();
    CHECK_AT_LEAST(inside, BLOCKS * 9 / 10);
    empty();
    CHECK_WITHIN(3000, break_now() < start + 16 * MIB);
    fill();
    CHECK_AT_LEAST(break_now(), start + 90 * MIB);
    empty();
    CHECK_WITHIN(3000, break_now() < start + 16 * MIB);
}

static void foreign_sbrk(void) {
    fill();
    enum { PIECES = 20, PIECE = 4096 };
    unsigned char *pieces[PIECES];
    void **more = own_pages(PIECES * 5000 * sizeof *more);
    for (size_t i = 0; i < PIECES; i++) {
        /* Odd lengths too: the break need not lie on a page. */
        pieces[i] = sbrk((intptr_t)(PIECE + i * 24));
        CHECK(pieces[i] != (void *)-1);
        memset(pieces[i], (int)i + 1, PIECE + i * 24);
        for (size_t j = 0; j < 5000; j++) {
            char *block = more[i * 5000 + j] = malloc(1000);
            CHECK(block != NULL);
            memset(block, 0xff, 1000);
        }
    }
    for (size_t i = 0; i < PIECES * 5000; i++)
        free(more[i]);
    empty();
    sleep_ms(300);
    malloc_trim(0);
    for (size_t i = 0; i < PIECES; i++) {
        CHECK_AT_LEAST(break_now(), (size_t)pieces[i] + PIECE + i * 24);
        for (size_t j = 0; j < PIECE + i * 24; j++)
            CHECK(pieces[i][j] == i + 1);
    }
    /* The program may also give back what it took last. */
    unsigned char *last = sbrk(64 * 1024);
    CHECK(last != (void *)-1 && sbrk(-64 * 1024) != (void *)-1);
    fill();
    empty();
}

static void middle_goes_back(void) {
    size_t before = resident();
    fill();
    size_t top = 0;
    for (size_t i = 0; i < BLOCKS; i++)
        if ((size_t)blocks[i] > (size_t)blocks[top] && (size_t)blocks[i] < break_now())
            top = i;
    CHECK_AT_LEAST(resident(), before + 90 * MIB);
    for (size_t i = 0; i < BLOCKS; i++)
        if (i != top)
            free(blocks[i]);
    CHECK_WITHIN(3000, resident() < before + 12 * MIB);
    CHECK(*(char *)blocks[top] == 1);
    free(blocks[top]);
}

static void trim_threshold(void) {
    /* mallopt(3): M_TRIM_THRESHOLD is how much free memory at the top is kept; -1 is all of it. */
    size_t start = break_now();
    CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 30) == 1);
    fill();
    size_t full = break_now();
    CHECK_AT_LEAST(full, start + 90 * MIB);
    empty();
    sleep_ms(400);
    CHECK(break_now() >= full);
    CHECK(mallopt(M_TRIM_THRESHOLD, 128 * 1024) == 1);
    fill();
    empty();
    CHECK_WITHIN(3000, break_now() < start + 16 * MIB);
}

static void top_pad(void) {
    /* mallopt(3): M_TOP_PAD is added to each growth of the break. */
    CHECK(mallopt(M_TOP_PAD, 48 * MIB) == 1);
    CHECK(mallopt(M_TRIM_THRESHOLD, -1) == 1);
    size_t start = break_now(), moves = 0, last = start;
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        moves += break_now() != last;
        last = break_now();
    }
    CHECK_AT_LEAST(moves, 1);
    CHECK_AT_MOST(moves, 6);
    CHECK_AT_LEAST(last, start + 96 * MIB);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    blocks = own_pages(BLOCKS * sizeof *blocks);
    free(malloc(1));
    if (strcmp(argv[1], "grows_and_shrinks") == 0)
        grows_and_shrinks();
    else if (strcmp(argv[1], "foreign_sbrk") == 0)
        foreign_sbrk();
    else if (strcmp(argv[1], "middle_goes_back") == 0)
        middle_goes_back();
    else if (strcmp(argv[1], "trim_threshold") == 0)
        trim_threshold();
    else if (strcmp(argv[1], "top_pad") == 0)
        top_pad();
    else
        CHECK(!"a part of this program");
    return 0;
}

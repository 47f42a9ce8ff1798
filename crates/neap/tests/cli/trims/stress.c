/* Threads that allocate, check, pass on and free blocks without a pause but for short waits, while their heap is trimmed.
   Prints "ready", goes on until a line of standard input comes, and ends with "unharmed". Every block's bytes are
   checked, every wait's result, and that each queued signal arrives once. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAIL(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), _exit(1))
#define CHECK(what) ((what) ? (void)0 : FAIL("%s:%d: %s (errno %d)", __FILE__, __LINE__, #what, errno))

enum { THREADS = 6, SLOTS = 800, SHARED = 64 };
struct block { uint32_t size, seed; unsigned char bytes[]; };
static struct block *shared[SHARED];
static volatile int ending;
static volatile sig_atomic_t arrived;
static int sent;

static uint64_t next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
static void fill(struct block *b, uint32_t from) {
    for (uint32_t i = from; i < b->size; i += 1 + b->size / 64)
        b->bytes[i] = (unsigned char)(b->seed + i);
}
static void check(const struct block *b, uint32_t upto) {
    for (uint32_t i = 0; i < upto; i += 1 + upto / 64)
        CHECK(b->size != upto || b->bytes[i] == (unsigned char)(b->seed + i));
}
static struct block *make(uint64_t *state) {
    uint64_t r = next(state);
    uint32_t size = r % 100 < 90 ? r / 100 % 2000 : r % 1000 < 998 ? r / 1000 % 60000 : r / 1000 % 3000000;
    struct block *b = r >> 60 ? malloc(sizeof *b + size) : calloc(1, sizeof *b + size);
    CHECK(b != NULL && (uintptr_t)b % 16 == 0);
    b->size = size;
    b->seed = (uint32_t)r;
    fill(b, 0);
    return b;
}
static void unmake(struct block *b) {
    if (b) {
        check(b, b->size);
        free(b);
    }
}
static void rests(uint64_t *state) {
    struct timespec time = {0, next(state) % 3000000};
    static __thread int epoll = -1;
    struct epoll_event got;
    if (epoll < 0)
        CHECK((epoll = epoll_create1(0)) >= 0);
    switch (next(state) % 5) {
    case 0: CHECK(nanosleep(&time, NULL) == 0); break;
    case 1: CHECK(poll(NULL, 0, 2) == 0); break;
    case 2: {
        /* Fails with EINTR, as after any stop, when neap is killed in the moment of it: errno is put back. */
        int ready = epoll_wait(epoll, &got, 1, 2);
        CHECK(ready == 0 || (ready == -1 && errno == EINTR));
        errno = 77;
        break;
    }
    case 3: CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL) == 0); break;
    default: CHECK(select(0, NULL, NULL, NULL, &(struct timeval){0, 1500}) == 0); break;
    }
}
static void *thread(void *number) {
    uint64_t state = (uintptr_t)number * 0x9e3779b97f4a7c15u + 1;
    struct block **mine = calloc(SLOTS, sizeof *mine);
    for (uint64_t turn = 0; !ending; turn++) {
        uint64_t r = next(&state);
        struct block **slot = &mine[r % SLOTS];
        switch (r >> 40 & 15) {
        case 0: case 1: case 2: case 3: case 4: case 5: case 6: case 7:
            unmake(*slot);
            *slot = make(&state);
            break;
        case 8: case 9: case 10:
            unmake(*slot);
            *slot = NULL;
            break;
        case 11: case 12:
            /* Freed by whichever thread comes next. */
            if (!*slot)
                *slot = make(&state);
            *slot = __atomic_exchange_n(&shared[r >> 20 & (SHARED - 1)], *slot, __ATOMIC_ACQ_REL);
            break;
        case 13:
            if (*slot) {
                uint32_t before = (*slot)->size, after = next(&state) % 5000;
                check(*slot, before);
                CHECK((*slot = realloc(*slot, sizeof **slot + after)) != NULL);
                (*slot)->size = after;
                fill(*slot, 0);
            }
            break;
        default:
            break;
        }
        if (turn % 4096 == 0) {
            errno = 77;
            rests(&state);
            CHECK(errno == 77);
        }
        if (turn % 50000 == 0)
            for (int i = 0; i < SLOTS; i++) {
                unmake(mine[i]);
                mine[i] = NULL;
            }
    }
    for (int i = 0; i < SLOTS; i++)
        unmake(mine[i]);
    free(mine);
    return NULL;
}
/* Threads and children come and go, too. */
static void *brief(void *argument) {
    uint64_t state = (uintptr_t)argument + 99;
    for (int i = 0; i < 200; i++)
        unmake(make(&state));
    return NULL;
}
static void *parent(void *argument) {
    uint64_t state = 5;
    while (!ending) {
        pthread_t other;
        CHECK(pthread_create(&other, NULL, brief, argument) == 0 && pthread_join(other, NULL) == 0);
        pid_t pid = fork();
        if (pid == 0) {
            for (int i = 0; i < 50; i++)
                unmake(make(&state));
            _exit(3);
        }
        int status;
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
    }
    return NULL;
}
static void count(int n) { (void)n; arrived++; }
static void *signaller(void *argument) {
    pthread_t to = *(pthread_t *)argument;
    while (!ending) {
        if (pthread_kill(to, SIGRTMIN) == 0)
            sent++;
        usleep(2000);
    }
    return NULL;
}
/* Gets signals while it waits. */
static void *patient(void *argument) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    while (!ending) {
        int before = arrived;
        free(malloc(300));
        struct timespec time = {0, 5000000};
        if (nanosleep(&time, NULL) != 0)
            CHECK(errno == EINTR && arrived > before);
    }
    return argument;
}

int main(void) {
    pthread_t threads[THREADS], other, waits, sends;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sigaction(SIGRTMIN, &(struct sigaction){.sa_handler = count}, NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, thread, (void *)(i + 1)) == 0);
    CHECK(pthread_create(&other, NULL, parent, NULL) == 0 && pthread_create(&waits, NULL, patient, NULL) == 0);
    CHECK(pthread_create(&sends, NULL, signaller, &waits) == 0);
    CHECK(write(1, "ready\n", 6) == 6);
    char c;
    CHECK(read(0, &c, 1) == 1);
    ending = 1;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pthread_join(sends, NULL) == 0 && pthread_join(other, NULL) == 0 && pthread_join(waits, NULL) == 0);
    /* Those that came after its last look are pending, or were delivered on its way out. */
    CHECK(arrived <= sent && sent - arrived < 4);
    for (int i = 0; i < SHARED; i++)
        unmake(shared[i]);
    puts("unharmed");
    return 0;
}

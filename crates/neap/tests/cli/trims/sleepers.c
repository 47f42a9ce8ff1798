/* Threads that wait in system calls of every kind while their heap is trimmed. Afterwards each says what it noticed:
   its call's result, errno, the blocks it holds, and, for one, every register. Usage: sleepers [SECONDS]; prints
   "ready" when all wait, and goes on at a line of standard input; each signal it is told of must have arrived. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAIL(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), _exit(1))
#define CHECK(what) ((what) ? (void)0 : FAIL("%s:%d: %s (errno %d)", __FILE__, __LINE__, #what, errno))

static time_t seconds = 3;
static int started, event, pipes[2], waker[2], listener, queue, semaphore, locked;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int change;
static sem_t sem;
static volatile sig_atomic_t signals;
static pthread_t pauser, suspender, waiter;
static struct sockaddr_un address = {AF_UNIX, ""};

static void count(int n) { (void)n; signals++; }

static struct timespec now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t;
}

static void waited(struct timespec since) {
    struct timespec t = now();
    int64_t ns = (t.tv_sec - since.tv_sec) * 1000000000LL + t.tv_nsec - since.tv_nsec;
    CHECK(ns >= seconds * 1000000000LL - 2000000);
}

static void set_going(void) { __atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST); }

static void sleeps(void) {
    struct timespec since = now(), time = {seconds, 0};
    CHECK(nanosleep(&time, NULL) == 0);
    waited(since);
}
static void sleeps_until(void) {
    struct timespec since = now(), end = since;
    end.tv_sec += seconds;
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == 0);
    waited(since);
}
static void polls(void) {
    struct timespec since = now();
    CHECK(poll(NULL, 0, seconds * 1000) == 0);
    waited(since);
}
static void polls_a_pipe(void) {
    struct pollfd fd = {pipes[0], POLLIN, 0};
    CHECK(poll(&fd, 1, -1) == 1 && fd.revents == POLLIN);
}
static void polls_with_signals(void) {
    sigset_t set;
    sigfillset(&set);
    struct pollfd fd = {event, POLLIN, 0};
    CHECK(ppoll(&fd, 1, NULL, &set) == 1);
}
static void selects(void) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(event, &set);
    struct timeval time = {1000, 0};
    CHECK(select(event + 1, &set, NULL, NULL, &time) == 1);
}
static void epolls(void) {
    int fd = epoll_create1(0);
    struct epoll_event what = {EPOLLIN, {.u64 = 77}}, got;
    CHECK(epoll_ctl(fd, EPOLL_CTL_ADD, event, &what) == 0);
    CHECK(epoll_wait(fd, &got, 1, -1) == 1 && got.data.u64 == 77);
}
static void epolls_in_vain(void) {
    int fd = epoll_create1(0);
    struct epoll_event got;
    struct timespec since = now();
    CHECK(epoll_wait(fd, &got, 1, seconds * 1000) == 0);
    waited(since);
}
static void waits_for_a_change(void) {
    pthread_mutex_lock(&mutex);
    while (!change)
        CHECK(pthread_cond_wait(&changed, &mutex) == 0);
    pthread_mutex_unlock(&mutex);
}
static void waits_for_a_change_in_time(void) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 1000;
    pthread_mutex_lock(&mutex);
    while (!change)
        CHECK(pthread_cond_timedwait(&changed, &mutex, &end) == 0);
    pthread_mutex_unlock(&mutex);
}
static void waits_for_a_semaphore(void) { CHECK(sem_wait(&sem) == 0); }
static void reads(void) {
    char text[8];
    CHECK(read(waker[0], text, 5) == 5 && memcmp(text, "hello", 5) == 0);
}
static void accepts(void) { CHECK(accept(listener, NULL, NULL) >= 0); }
static void receives_in_time(void) {
    int pair[2];
    struct timeval time = {seconds, 0};
    char c;
    struct timespec since = now();
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    CHECK(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) == 0);
    CHECK(recv(pair[0], &c, 1, 0) == -1 && errno == EAGAIN);
    waited(since);
}
static void receives_a_message(void) {
    struct { long type; char text[8]; } message;
    CHECK(msgrcv(queue, &message, 8, 0, 0) == 3);
}
static void takes_a_semaphore(void) {
    struct sembuf down = {0, -1, 0};
    CHECK(semop(semaphore, &down, 1) == 0);
}
static void locks(void) {
    int fd = open("/proc/self/exe", O_RDONLY);
    CHECK(flock(fd, LOCK_EX) == 0);
    close(fd);
}
static void waits_for_a_child(void) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct timespec time = {seconds, 0};
        nanosleep(&time, NULL);
        _exit(42);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 42);
}
static void waits_for_a_signal(void) {
    sigset_t set;
    int got;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 2);
    CHECK(sigwait(&set, &got) == 0 && got == SIGRTMIN + 2);
}
static void pauses(void) { CHECK(pause() == -1 && errno == EINTR); }
static void suspends(void) {
    sigset_t set;
    sigfillset(&set);
    sigdelset(&set, SIGRTMIN + 1);
    CHECK(sigsuspend(&set) == -1 && errno == EINTR);
}
static void sleeps_with_full_registers(void) {
#ifdef __x86_64__
    enum { WIDE = 16 * 32 };
    static uint8_t before[WIDE] __attribute__((aligned(64))), after[WIDE] __attribute__((aligned(64)));
    static uint64_t general[6];
    struct timespec time = {seconds, 0};
    for (int i = 0; i < WIDE; i++)
        before[i] = i * 7 + 1;
    int wide = __builtin_cpu_supports("avx");
#define EACH(x) x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11) x(12) x(13) x(14) x(15)
#define LOAD(n) "vmovdqu 32*" #n "(%[from]), %%ymm" #n "\n"
#define KEEP(n) "vmovdqu %%ymm" #n ", 32*" #n "(%[to])\n"
#define LOAD_X(n) "movdqu 32*" #n "(%[from]), %%xmm" #n "\n"
#define KEEP_X(n) "movdqu %%xmm" #n ", 32*" #n "(%[to])\n"
    long result = SYS_nanosleep;
#define GENERAL                                                                                           \
    "mov $0x1111, %%r8\n mov $0x2222, %%r9\n mov $0x3333, %%r10\n mov $0x4444, %%r14\n std\n syscall\n pushfq\n" \
    "pop %%r11\n cld\n mov %%r8, (%[into])\n mov %%r9, 8(%[into])\n mov %%r10, 16(%[into])\n"               \
    "mov %%r14, 24(%[into])\n mov %%r11, 32(%[into])\n"
#define OPERANDS                                                                                          \
    : "+a"(result)                                                                                        \
    : "D"(&time), "S"(0), [from] "r"(before), [to] "r"(after), [into] "r"(general)                        \
    : "rcx", "r8", "r9", "r10", "r11", "r14", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", \
      "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
    if (wide)
        __asm__ volatile(EACH(LOAD) GENERAL EACH(KEEP) "vzeroupper\n" OPERANDS);
    else
        __asm__ volatile(EACH(LOAD_X) GENERAL EACH(KEEP_X) OPERANDS);
    CHECK(result == 0);
    for (int i = 0; i < WIDE; i++)
        CHECK(after[i] == before[i] || (!wide && i % 32 >= 16));
    CHECK(general[0] == 0x1111 && general[1] == 0x2222 && general[2] == 0x3333 && general[3] == 0x4444);
    CHECK(general[4] & 0x400);
#else
    sleeps();
#endif
}

static void (*const WAYS[])(void) = {
    sleeps, sleeps_until, polls, polls_a_pipe, polls_with_signals, selects, epolls, epolls_in_vain,
    waits_for_a_change, waits_for_a_change_in_time, waits_for_a_semaphore, reads, accepts, receives_in_time,
    receives_a_message, takes_a_semaphore, locks, waits_for_a_child, waits_for_a_signal, pauses, suspends,
    sleeps_with_full_registers,
};
enum { THREADS = sizeof WAYS / sizeof *WAYS, BLOCKS = 3000 };

/* Leaves most of what it allocated free, in pages between its own and in its caches. */
static void *thread(void *number) {
    size_t way = (size_t)number;
    unsigned char **blocks = malloc(BLOCKS * sizeof *blocks);
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = 32 + (i * 37 + way * 101) % 4000;
        blocks[i] = malloc(size);
        memset(blocks[i], (int)(i + way), size);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        if (i % 50) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
    free(malloc(100000));
    set_going();
    errno = 1234;
    WAYS[way]();
    CHECK(errno == 1234 || errno == EINTR || errno == EAGAIN);
    for (size_t i = 0; i < BLOCKS; i += 50) {
        size_t size = 32 + (i * 37 + way * 101) % 4000;
        for (size_t at = 0; at < size; at++)
            CHECK(blocks[i][at] == (unsigned char)(i + way));
        free(blocks[i]);
    }
    free(blocks);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS];
    sigset_t mask;
    if (argc > 1)
        seconds = atoi(argv[1]);
    struct sigaction action = {.sa_handler = count};
    sigaction(SIGRTMIN, &action, NULL);
    sigaction(SIGRTMIN + 1, &action, NULL);
    /* Blocked by the threads that inherit it, but for who asks for them. */
    sigemptyset(&mask);
    sigaddset(&mask, SIGRTMIN);
    sigaddset(&mask, SIGRTMIN + 1);
    sigaddset(&mask, SIGRTMIN + 2);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "neap-sleepers-%d", getpid());
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(listener, (void *)&address, sizeof address) == 0 && listen(listener, 9) == 0);
    event = eventfd(0, 0);
    CHECK(pipe(pipes) == 0 && pipe(waker) == 0 && sem_init(&sem, 0, 0) == 0);
    queue = msgget(IPC_PRIVATE, 0600);
    semaphore = semget(IPC_PRIVATE, 1, 0600);
    locked = open("/proc/self/exe", O_RDONLY);
    CHECK(queue >= 0 && semaphore >= 0 && flock(locked, LOCK_EX) == 0);
    for (size_t i = 0; i < THREADS; i++) {
        sigset_t open;
        sigemptyset(&open);
        sigaddset(&open, SIGRTMIN);
        pthread_sigmask(WAYS[i] == pauses ? SIG_UNBLOCK : SIG_BLOCK, &open, NULL);
        CHECK(pthread_create(&threads[i], NULL, thread, (void *)i) == 0);
        if (WAYS[i] == pauses)
            pauser = threads[i];
        if (WAYS[i] == suspends)
            suspender = threads[i];
        if (WAYS[i] == waits_for_a_signal)
            waiter = threads[i];
    }
    while (__atomic_load_n(&started, __ATOMIC_SEQ_CST) < THREADS)
        usleep(1000);
    usleep(200000);
    CHECK(write(1, "ready\n", 6) == 6);
    char c;
    CHECK(read(0, &c, 1) == 1);
    struct { long type; char text[8]; } message = {1, "abc"};
    struct sembuf up = {0, 1, 0};
    uint64_t one = 1;
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(signals == 0);
    CHECK(connect(client, (void *)&address, sizeof address) == 0);
    CHECK(write(event, &one, 8) == 8 && write(pipes[1], "x", 1) == 1 && write(waker[1], "hello", 5) == 5);
    CHECK(msgsnd(queue, &message, 3, 0) == 0 && semop(semaphore, &up, 1) == 0 && sem_post(&sem) == 0);
    CHECK(flock(locked, LOCK_UN) == 0);
    pthread_mutex_lock(&mutex);
    change = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    CHECK(pthread_kill(pauser, SIGRTMIN) == 0 && pthread_kill(suspender, SIGRTMIN + 1) == 0);
    CHECK(pthread_kill(waiter, SIGRTMIN + 2) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(signals == 2);
    msgctl(queue, IPC_RMID, NULL);
    semctl(semaphore, 0, IPC_RMID);
    puts("unharmed");
    return 0;
}

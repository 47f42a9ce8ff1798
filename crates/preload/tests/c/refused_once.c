/* Each memory call that a program and its heap make is refused once, for real: a tracer counts the calls
   of a fixed script from before the first constructor on, and in the n-th run the n-th of them fails.
   ptrace(2), PTRACE_EVENT_SECCOMP. Whatever call it is, nothing crashes and no contents are lost; at
   most a request is answered with NULL and ENOMEM, and afterwards memory can be had again.
   argv: ERROR COUNT, the number of calls in a row that are refused. */
#include "filter.h"
#include "workload.h"
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

static struct workload work;
static void *early[4];

/* Before constructors: the heap opens while the tracer counts. */
static void preinit(int argc, char **argv, char **environment) {
    (void)environment;
    if (argc == 2 && strcmp(argv[1], "inside") == 0) {
        bare(SYS_getpriority, 0, 0, 0, 0, 0);
        for (int i = 0; i < 4; i++)
            early[i] = malloc((size_t)1 << (i * 7));
    }
}
__attribute__((section(".preinit_array"), used)) static void (*preinit_entry)(int, char **, char **) = preinit;

static void *in_thread(void *unused) {
    static struct workload other;
    other.random = 5;
    workload_run(&other, 60);
    workload_end(&other);
    workload_threads--;
    return unused;
}

/* Mappings of their own and extents, which realloc moves by mremap(2) and trims by munmap(2). */
static void large_blocks(void) {
    static const size_t sizes[] = {40, 90, 36, 3, 33, 7, 2, 50};
    for (size_t first = 0; first < 4; first++) {
        size_t size = sizes[first] * MIB;
        unsigned char *block = malloc(size);
        for (size_t i = first + 1; block != NULL && i < 8; i++) {
            workload_fill(block, size, (unsigned char)i);
            errno = 0;
            unsigned char *other = realloc(block, sizes[i] * MIB);
            CHECK(other != NULL || errno == ENOMEM);
            if (other != NULL) {
                workload_expect(other, sizes[i] * MIB, size, (unsigned char)i);
                block = other;
                size = sizes[i] * MIB;
            } else
                workload_expect(block, size, size, (unsigned char)i);
        }
        free(block);
    }
    free(memalign(4 * MIB, 5 * MIB));
}

static int script(void) {
    work.random = 99;
    workload_run(&work, 250);
    large_blocks();
    pthread_t thread;
    workload_threads = 1;
    if (pthread_create(&thread, NULL, in_thread, NULL) == 0)
        pthread_detach(thread);
    else
        workload_threads--;
    CHECK_WITHIN(60000, workload_threads == 0);
    enum { BLOCKS = 1500 };
    static void *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++)
        if ((blocks[i] = malloc(4000)) != NULL)
            memset(blocks[i], 1, 4000);
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    /* As long as a helper needs to see it. */
    sleep_ms(60);
    malloc_trim(0);
    workload_run(&work, 60);
    workload_end(&work);
    for (int i = 0; i < 4; i++)
        free(early[i]);
    /* One call was refused; by now there is memory again. */
    for (size_t size = 1; size < 100 * MIB; size = size * 9 + 5) {
        char *block = malloc(size);
        CHECK(block != NULL);
        block[0] = block[size - 1] = 1;
        free(block);
    }
    return 0;
}

#if defined __x86_64__
static const long traced[] = {SYS_mmap, SYS_munmap, SYS_madvise, SYS_mprotect, SYS_mremap, SYS_brk, SYS_clone,
                              SYS_clone3, SYS_prctl, SYS_membarrier, SYS_getrandom, 440, SYS_getpriority};

static pid_t start(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
        raise(SIGSTOP);
        filter_calls(traced, sizeof traced / sizeof *traced, SECCOMP_RET_TRACE);
        execl("/proc/self/exe", "refused_once", "inside", (char *)NULL);
        _exit(9);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFSTOPPED(status))
        SKIP("no seccomp filters or no ptrace here\n");
    long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    CHECK(ptrace(PTRACE_SETOPTIONS, child, NULL, options) == 0);
    CHECK(ptrace(PTRACE_CONT, child, NULL, NULL) == 0);
    return child;
}

/* Has the call at which `task` stands fail. */
static void refuse(pid_t task, struct user_regs_struct *registers, int error) {
    registers->orig_rax = (unsigned long long)-1;
    registers->rax = (unsigned long long)-(long long)error;
    CHECK(ptrace(PTRACE_SETREGS, task, NULL, registers) == 0);
}

/* Calls of each kind in the run in which none was refused. */
static int seen[sizeof traced / sizeof *traced];

static void see(long number) {
    for (size_t i = 0; i < sizeof traced / sizeof *traced; i++)
        seen[i] += traced[i] == number;
}

static int times_seen(long number) {
    for (size_t i = 0; i < sizeof traced / sizeof *traced; i++)
        if (traced[i] == number)
            return seen[i];
    return 0;
}

/* Runs the script with `count` calls from the `n`-th on refused, none if `n` is 0. How many calls there
   were; `*call` is the first that was refused. */
static long run(long n, long count, int error, long *call, int *ending) {
    pid_t child = start();
    long counted = -1;
    for (;;) {
        int status, signal = 0;
        pid_t task = waitpid(-1, &status, __WALL);
        if (task < 0)
            return counted;
        if (!WIFSTOPPED(status)) {
            if (task == child)
                *ending = status;
            continue;
        }
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
            struct user_regs_struct registers;
            CHECK(ptrace(PTRACE_GETREGS, task, NULL, &registers) == 0);
            if (registers.orig_rax == SYS_getpriority)
                counted = 0;
            else if (counted >= 0) {
                counted++;
                if (n == 0)
                    see((long)registers.orig_rax);
                if (counted == n)
                    *call = (long)registers.orig_rax;
                if (n != 0 && counted >= n && counted < n + count)
                    refuse(task, &registers, error);
            }
        } else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP && WSTOPSIG(status) != SIGTRAP)
            signal = WSTOPSIG(status);
        /* A task that has just been killed cannot be continued. */
        if (ptrace(PTRACE_CONT, task, NULL, signal) != 0)
            CHECK(errno == ESRCH);
    }
}

static const char *name_of(long number) {
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].number == number)
            return calls[i].name;
    return "?";
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "inside") == 0)
        return script();
    CHECK(argc == 3);
    int error = error_number(argv[1]), ending = -1, failures = 0;
    long count = atol(argv[2]), call = 0, calls_made = run(0, 0, error, &call, &ending);
    CHECK(ending == 0);
    CHECK(times_seen(SYS_mmap) > 0 && times_seen(SYS_munmap) > 0 && times_seen(SYS_mremap) > 0);
    CHECK(times_seen(SYS_madvise) > 0 && times_seen(SYS_clone) + times_seen(SYS_clone3) > 0);
    for (long n = 1; n <= calls_made; n++) {
        call = 0;
        run(n, count, error, &call, &ending);
        if (ending != 0) {
            say("%ld calls from number %ld on, %s, refused with %s: wait status %#x\n", count, n, name_of(call),
                argv[1], (unsigned)ending);
            failures++;
        }
    }
    printf("each of %ld calls refused\n", calls_made);
    return failures != 0;
}
#else
int main(int argc, char **argv) {
    (void)argc, (void)argv;
    SKIP("the tracer knows the registers of x86_64 only\n");
}
#endif

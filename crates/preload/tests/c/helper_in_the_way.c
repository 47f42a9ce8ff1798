/* What a program does while a helper thread lives, and what a second thread of its own would spoil:
   unshare(2) of a user namespace, setns(2), changes of credentials (also by their numbers, and of
   capabilities), forks of every kind, daemon(3), filters that refuse clone(2) or kill for it.
   Each is tried in a fresh process right after a burst, with the helper seen in /proc. argv[1]: which. */
#include "filter.h"
#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#pragma weak _Fork
extern pid_t _Fork(void);

enum { NOBODY = 65534, BLOCKS = 60000 };
static void *blocks[BLOCKS];

static void burst(void) {
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECK((blocks[i] = malloc(1000)) != NULL);
        memset(blocks[i], 1, 1000);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

/* Ends with a helper alive, unless none can be had. */
static void burst_and_helper(void) {
    for (int round = 0; round < 50; round++) {
        burst();
        for (int i = 0; i < 20; i++) {
            if (threads() == 2)
                return;
            sleep_ms(1);
        }
    }
    CHECK(!"a helper after 50 bursts");
}

/* A task may end while we look. `base` as of strtoll; the first number of the line. */
static void every_task(const char *name, long long wanted, int base) {
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        char path[300], text[4096];
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        int fd = entry->d_name[0] == '.' ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        close(fd);
        if (length <= 0)
            continue;
        text[length] = 0;
        char *at = strstr(text, name);
        CHECK(at != NULL);
        long long real = strtoll(at + strlen(name), NULL, base);
        if (real != wanted)
            say("task %s: %s %lld, not %lld\n", entry->d_name, name + 1, real, wanted);
        CHECK(real == wanted);
    }
    closedir(tasks);
}

static void as_nobody(void) {
    for (int i = 0; i < 60; i++) {
        every_task("\nUid:", NOBODY, 10);
        every_task("\nGid:", NOBODY, 10);
        every_task("\nCapEff:", 0, 16);
        sleep_ms(2);
    }
    burst();
    every_task("\nUid:", NOBODY, 10);
    every_task("\nCapEff:", 0, 16);
}

static void drop_capabilities(int by_number) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}};
    extern int capset(struct __user_cap_header_struct *, const struct __user_cap_data_struct *);
    CHECK((by_number ? syscall(SYS_capset, &header, none) : capset(&header, none)) == 0);
    for (int i = 0; i < 60; i++) {
        every_task("\nCapEff:", 0, 16);
        every_task("\nCapPrm:", 0, 16);
        sleep_ms(2);
    }
}

static int entry(void *unused) {
    (void)unused;
    burst();
    /* In a namespace nobody may have no number. */
    return setuid(geteuid() == 0 ? NOBODY : getuid()) != 0 && errno != EINVAL;
}

static pid_t bare_fork(int how) {
    static char stack[256 * 1024] __attribute__((aligned(16)));
    switch (how) {
    case 0:
        return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    case 1:
        return _Fork != NULL ? _Fork() : fork();
    default:
        return clone(entry, stack + sizeof stack, SIGCHLD, NULL);
    }
}

/* The child of a bare fork has no helper and does what the parent could. */
static void bare_forks(void) {
    for (int i = 0; i < 12; i++) {
        burst_and_helper();
        pid_t child = bare_fork(i % 3);
        CHECK(child >= 0);
        if (child == 0) {
            alarm(20);
            burst();
            CHECK(unshare(CLONE_FS) == 0);
            _exit(entry(NULL));
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
}

static void forks(void) {
    for (int i = 0; i < 10; i++) {
        burst_and_helper();
        pid_t child = i % 2 ? fork() : vfork();
        if (child == 0) {
            if (i % 2) {
                alarm(20);
                CHECK(threads() == 1);
                burst();
                exit(0);
            }
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
}

static void by_daemon(void) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        burst_and_helper();
        CHECK(daemon(1, 1) == 0);
        CHECK(threads() == 1);
        burst_and_helper();
        CHECK(write(ends[1], "1", 1) == 1);
        exit(0);
    }
    close(ends[1]);
    char byte = 0;
    CHECK(read(ends[0], &byte, 1) == 1 && byte == '1');
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* The filter is installed as sandboxes do, or by its number. clone(2) is then what must not happen. */
static void filtered(const char *which) {
    uint32_t action = strstr(which, "kills") != NULL ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM;
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    /* TSYNC fails when a thread has filters of its own. */
    long done = strstr(which, "number") != NULL
                    ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program)
                    : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    if (done != 0)
        SKIP("no seccomp filters here\n");
    size_t before = resident();
    for (int round = 0; round < 5; round++) {
        burst();
        sleep_ms(30);
        free(malloc(100));
    }
    CHECK(threads() == 1);
    CHECK_WITHIN(20000, (free(malloc(2000)), resident() < before + 24 * MIB));
}

static void must_be_root(void) {
    if (geteuid() != 0)
        SKIP("not root\n");
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    const char *which = argv[1];
    if (strcmp(which, "unshare_user") == 0 || strcmp(which, "unshare_by_number") == 0) {
        pid_t child = fork();
        if (child == 0)
            _exit(unshare(CLONE_NEWUSER) != 0);
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        if (status != 0)
            SKIP("no user namespaces here\n");
        burst_and_helper();
        CHECK((strcmp(which, "unshare_user") == 0 ? unshare(CLONE_NEWUSER) : syscall(SYS_unshare, CLONE_NEWUSER)) == 0);
    } else if (strcmp(which, "setns") == 0) {
        must_be_root();
        int ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        CHECK(ns >= 0);
        burst_and_helper();
        /* A mount namespace is refused to a process of several threads, for they share a working directory. */
        if (setns(ns, CLONE_NEWNS) != 0) {
            CHECK(errno == EPERM);
            SKIP("setns is not permitted here\n");
        }
    } else if (strcmp(which, "setuid") == 0) {
        must_be_root();
        burst_and_helper();
        CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0);
        CHECK(setuid(NOBODY) == 0);
        as_nobody();
    } else if (strcmp(which, "setresuid_by_number") == 0) {
        must_be_root();
        burst_and_helper();
        CHECK(syscall(SYS_setgroups, 0, NULL) == 0 && syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) == 0);
        CHECK(syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) == 0);
        as_nobody();
    } else if (strcmp(which, "capset") == 0 || strcmp(which, "capset_by_number") == 0) {
        burst_and_helper();
        drop_capabilities(which[6] != 0);
    } else if (strcmp(which, "fork") == 0)
        forks();
    else if (strcmp(which, "bare_fork") == 0)
        bare_forks();
    else if (strcmp(which, "daemon") == 0)
        by_daemon();
    else {
        CHECK(strncmp(which, "filter_", 7) == 0);
        burst_and_helper();
        filtered(which);
    }
    return 0;
}

/* Sandboxes kill a program that makes a call not on their list, and the list of many has been drawn up
   from glibc's malloc: brk, mmap, munmap, mremap, mprotect, madvise, futex. A heap that wants more must
   see that it is in such a sandbox before it asks. argv[1]: early (filter before the library) or late. */
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const int allowed[] = {
    SYS_read, SYS_write, SYS_exit, SYS_exit_group, SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect,
    SYS_madvise, SYS_futex, SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime, SYS_rt_sigreturn,
    SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_open, SYS_openat, SYS_close, SYS_fstat, SYS_newfstatat, SYS_lseek,
    SYS_getpid, SYS_gettid, SYS_sched_yield, SYS_prlimit64,
    /* What ld.so and libc's own start ask for. */
    SYS_execve, SYS_access, SYS_pread64, SYS_arch_prctl, SYS_set_tid_address, SYS_set_robust_list, SYS_rseq,
    SYS_getrandom,
};

static void sandbox(void) {
    enum { COUNT = sizeof allowed / sizeof *allowed };
    struct sock_filter rules[COUNT + 3];
    rules[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++)
        rules[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed[i],
                                                    (unsigned char)(COUNT - i), 0);
    rules[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    rules[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {COUNT + 3, rules};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        SKIP("no seccomp filters here\n");
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    if (strcmp(argv[1], "inside") != 0)
        sandbox();
    if (strcmp(argv[1], "early") == 0) {
        argv[1] = "inside";
        execv("/proc/self/exe", argv);
        CHECK(!"exec");
    }
    enum { BLOCKS = 100000 };
    static void *blocks[BLOCKS];
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            CHECK((blocks[i] = malloc(i % 1500)) != NULL);
            memset(blocks[i], 1, i % 1500);
        }
        for (size_t i = 0; i < BLOCKS; i++)
            free(blocks[i]);
        sleep_ms(100);
    }
    void *large = malloc(64 * MIB);
    CHECK((large = realloc(large, 128 * MIB)) != NULL);
    free(large);
    return 0;
}

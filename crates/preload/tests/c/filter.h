/* seccomp(2) filters for contract programs, installed by a bare system call: libneap.so wraps prctl and
   syscall and would see to it that it is ready, and what is tested is that it need not be. */
#ifndef NEAP_FILTER_H
#define NEAP_FILTER_H

#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

__attribute__((unused)) static long bare(long number, long a, long b, long c, long d, long e) {
#if defined __x86_64__
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
#elif defined __aarch64__
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
#else
#error "an architecture that neap supports"
#endif
}

static const struct call {
    const char *name;
    long number;
} calls[] = {
    {"mmap", SYS_mmap}, {"munmap", SYS_munmap}, {"madvise", SYS_madvise}, {"mprotect", SYS_mprotect},
    {"mremap", SYS_mremap}, {"brk", SYS_brk}, {"futex", SYS_futex}, {"clone", SYS_clone}, {"clone3", SYS_clone3},
    {"process_madvise", 440}, {"membarrier", SYS_membarrier}, {"prctl", SYS_prctl},
    {"getrandom", SYS_getrandom}, {"sched_yield", SYS_sched_yield}, {"rt_sigprocmask", SYS_rt_sigprocmask},
    {"rt_sigaction", SYS_rt_sigaction}, {"prlimit64", SYS_prlimit64}, {"mincore", SYS_mincore},
    {"getpid", SYS_getpid}, {"gettid", SYS_gettid}, {"write", SYS_write}, {"open", SYS_openat},
};

__attribute__((unused)) static long call_number(const char *name) {
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].name, name) == 0)
            return calls[i].number;
    CHECK(!"a call that this program knows");
    return -1;
}

__attribute__((unused)) static int error_number(const char *name) {
    static const struct {
        const char *name;
        int number;
    } errors[] = {{"EPERM", EPERM}, {"ENOSYS", ENOSYS}, {"ENOMEM", ENOMEM}, {"EAGAIN", EAGAIN}, {"EINVAL", EINVAL}};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(errors[i].name, name) == 0)
            return errors[i].number;
    CHECK(!"an error that this program knows");
    return -1;
}

/* From now on the filter's verdict is `action` for each of the `count` calls. */
__attribute__((unused)) static void filter_calls(const long *numbers, size_t count, uint32_t action) {
    struct sock_filter rules[40];
    CHECK(count + 3 <= sizeof rules / sizeof *rules);
    rules[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count; i++)
        rules[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)numbers[i],
                                                    (unsigned char)(count - i), 0);
    rules[count + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    rules[count + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
    struct sock_fprog program = {(unsigned short)(count + 3), rules};
    CHECK(bare(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (bare(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, (long)&program, 0, 0) != 0)
        SKIP("no seccomp filters here\n");
}

__attribute__((unused)) static void refuse_call(long number, int error) {
    filter_calls(&number, 1, SECCOMP_RET_ERRNO | (uint32_t)error);
}

#endif

/* Under a seccomp(2) filter that refuses calls with EPERM or ENOSYS the heap goes on with what is
   left. argv: early|late EPERM|ENOSYS CALL...; early filters before the library is loaded (by exec). */
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static long number(const char *name) {
    static const struct {
        const char *name;
        long number;
    } calls[] = {
        {"clone", SYS_clone}, {"clone3", SYS_clone3}, {"process_madvise", 440}, {"mremap", SYS_mremap},
        {"membarrier", SYS_membarrier}, {"madvise", SYS_madvise}, {"mprotect", SYS_mprotect},
        {"prctl", SYS_prctl}, {"sched_yield", SYS_sched_yield}, {"getrandom", SYS_getrandom},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].name, name) == 0)
            return calls[i].number;
    CHECK(!"a call that this program knows");
    return -1;
}

static void refuse(long call, int error) {
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof rules / sizeof *rules, rules};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        SKIP("no seccomp filters here\n");
}

static void use_everything(void) {
    enum { BLOCKS = 60000 };
    void **blocks = own_pages(BLOCKS * sizeof *blocks);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            CHECK((blocks[i] = malloc(i % 2000)) != NULL);
            memset(blocks[i], 1, i % 2000);
        }
        for (size_t i = 0; i < BLOCKS; i++)
            free(blocks[i]);
        sleep_ms(120);
    }
    char *large = malloc(8 * MIB);
    for (size_t size = 16 * MIB; size <= 128 * MIB; size *= 2) {
        CHECK(large != NULL);
        large[0] = 7, large[size / 2 - 1] = 8;
        CHECK((large = realloc(large, size)) != NULL);
        CHECK(large[0] == 7 && large[size / 2 - 1] == 8);
    }
    CHECK((large = realloc(large, 5 * MIB)) != NULL && large[0] == 7);
    free(large);
    for (size_t size = 100 * KIB; size < 80 * MIB; size *= 3) {
        char *zero = calloc(1, size);
        CHECK(zero != NULL && zero[0] == 0 && zero[size - 1] == 0);
        memset(zero, 1, size);
        free(zero);
    }
    malloc_trim(0);
    void *aligned = memalign(4 * MIB, 5 * MIB);
    CHECK(aligned != NULL);
    free(aligned);
}

int main(int argc, char **argv) {
    CHECK(argc >= 3);
    if (strcmp(argv[1], "inside") != 0) {
        CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        int error = strcmp(argv[2], "EPERM") == 0 ? EPERM : ENOSYS;
        for (int i = 3; i < argc; i++)
            refuse(number(argv[i]), error);
    }
    if (strcmp(argv[1], "early") == 0) {
        argv[1] = "inside";
        execv("/proc/self/exe", argv);
        CHECK(!"exec");
    }
    use_everything();
    return 0;
}

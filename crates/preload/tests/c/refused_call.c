/* One system call refused for good by a seccomp(2) filter, each with each error: no crash, no contents
   lost, and NULL (with ENOMEM) only where memory cannot be had without that call.
   argv: exec|preinit|late CALL ERROR. exec: before the program is loaded; preinit: before any
   constructor, so the heap opens under the filter; late: in the middle of the work. */
#include "filter.h"
#include "workload.h"

static struct workload work;

static void preinit(int argc, char **argv, char **environment) {
    (void)environment;
    if (argc == 4 && strcmp(argv[1], "preinit") == 0)
        refuse_call(call_number(argv[2]), error_number(argv[3]));
}
__attribute__((section(".preinit_array"), used)) static void (*preinit_entry)(int, char **, char **) = preinit;

int main(int argc, char **argv) {
    CHECK(argc == 4);
    work.random = 4711;
    int late = strcmp(argv[1], "late") == 0, mapping = strcmp(argv[2], "mmap") == 0;
    if (strcmp(argv[1], "exec") == 0) {
        refuse_call(call_number(argv[2]), error_number(argv[3]));
        argv[1] = "inside";
        execv("/proc/self/exe", argv);
        CHECK(!"exec");
    }
    if (late) {
        workload_with_threads(&work, 2000);
        CHECK(workload_refused(&work) == 0);
        /* A filter is a thread's own: who sleeps outside of it could no longer be woken from inside. */
        if (strcmp(argv[2], "futex") == 0)
            CHECK_WITHIN(20000, threads() == 1);
        refuse_call(call_number(argv[2]), error_number(argv[3]));
    }
    workload_with_threads(&work, 3000);
    workload_end(&work);
    /* A burst that wants to go back, and a pause in which a helper would give it back. */
    enum { BLOCKS = 6000 };
    static void *blocks[BLOCKS];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            errno = 0;
            blocks[i] = malloc(i % 3000 + 1);
            CHECK(blocks[i] != NULL || errno == ENOMEM);
            work.refused += blocks[i] == NULL;
            if (blocks[i] != NULL)
                memset(blocks[i], 1, i % 3000 + 1);
        }
        for (size_t i = 0; i < BLOCKS; i++)
            free(blocks[i]);
        sleep_ms(70);
    }
    workload_with_threads(&work, 1000);
    workload_end(&work);
    size_t refused = workload_refused(&work);
    if (!mapping && refused != 0)
        say("%zu requests were refused\n", refused);
    CHECK(mapping || refused == 0);
    /* Without mmap from the start there is nothing; what was mapped before serves on. */
    if (mapping && late)
        CHECK(work.served > 1000);
    return 0;
}

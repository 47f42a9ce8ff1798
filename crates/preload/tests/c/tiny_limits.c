/* `ulimit -v` so small that not even the heap's first records can be mapped: malloc returns NULL with
   ENOMEM, the program goes on, and when the limit is lifted there is memory. The limit is set before the
   first constructor, to what is mapped by then and ever more on top. */
#include "check.h"
#include <sys/wait.h>

enum { NO_MEMORY = 40, LITTLE_MEMORY = 41, ALL_WELL = 42 };

static int inside(void) {
    int well = 1, any = 0;
    void *blocks[64];
    for (size_t i = 0; i < 64; i++) {
        size_t size = (size_t)1 << i % 20;
        errno = 0;
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL || errno == ENOMEM);
        well &= blocks[i] != NULL;
        any |= blocks[i] != NULL;
        if (blocks[i] != NULL)
            memset(blocks[i], 3, size);
    }
    errno = 0;
    void *zero = calloc(1, 64 * MIB);
    CHECK(zero != NULL || errno == ENOMEM);
    void *out = &out;
    int error = posix_memalign(&out, 64, 64 * MIB);
    CHECK(error == 0 || (error == ENOMEM && out == &out));
    if (error == 0)
        free(out);
    free(zero);
    for (size_t i = 0; i < 64; i++)
        free(blocks[i]);

    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    for (size_t size = 1; size < 50 * MIB; size *= 4) {
        char *block = malloc(size);
        CHECK(block != NULL);
        memset(block, 5, size);
        free(block);
    }
    return well ? ALL_WELL : any ? LITTLE_MEMORY : NO_MEMORY;
}

/* argv: inside KIB. */
static void preinit(int argc, char **argv, char **environment) {
    (void)environment;
    if (argc != 3)
        return;
    size_t kib = (size_t)proc_number("/proc/self/status", "\nVmSize:") + strtoul(argv[2], NULL, 10);
    struct rlimit limit = {kib * KIB, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}
__attribute__((section(".preinit_array"), used)) static void (*preinit_entry)(int, char **, char **) = preinit;

int main(int argc, char **argv) {
    if (argc == 3)
        _exit(inside());
    size_t ends[3] = {0};
    for (size_t kib = 0; kib <= 64 * 1024; kib += kib < 128 ? 4 : kib < 8 * 1024 ? 256 : 4096) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            char on_top[24];
            snprintf(on_top, sizeof on_top, "%zu", kib);
            execl("/proc/self/exe", argv[0], "inside", on_top, (char *)NULL);
            _exit(127);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
        if (code < NO_MEMORY || code > ALL_WELL) {
            say("with %zu KiB on top: wait status %#x\n", kib, (unsigned)status);
            _exit(1);
        }
        ends[code - NO_MEMORY]++;
    }
    printf("without memory %zu, with little %zu, with enough %zu\n", ends[0], ends[1], ends[2]);
    CHECK(ends[0] > 0 && ends[1] > 0 && ends[2] > 0);
    return 0;
}

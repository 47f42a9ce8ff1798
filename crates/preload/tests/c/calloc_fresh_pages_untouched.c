/* calloc does not write to pages that come fresh from the kernel and are zero already. Each size in a
   process of its own, for what a program has freed it may also have written to. */
#include "check.h"
#include <sys/wait.h>

static void check_size(size_t size) {
    size_t count = 256 * MIB / size;
    char **blocks = own_pages(count * sizeof *blocks + 1);
    size_t before = resident();
    for (size_t i = 0; i < count; i++)
        CHECK((blocks[i] = calloc(size / 8, 8)) != NULL);
    CHECK_AT_MOST(resident(), before + 16 * MIB);
    for (size_t i = 0; i < count; i++) {
        CHECK(blocks[i][0] == 0 && blocks[i][size / 2] == 0 && blocks[i][size - 8] == 0);
        free(blocks[i]);
    }
}

int main(void) {
    size_t sizes[] = {256 * MIB, 24 * MIB, 3 * MIB, 300 * KIB};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            check_size(sizes[i]);
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    return 0;
}

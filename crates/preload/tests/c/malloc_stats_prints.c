/* malloc_stats(3) "prints (on standard error) statistics about memory allocated", and nothing on
   standard output. */
#include "check.h"

int main(void) {
    int err[2], out[2];
    CHECK(pipe(err) == 0 && pipe(out) == 0);
    int old_err = dup(2), old_out = dup(1);
    dup2(err[1], 2), dup2(out[1], 1);
    void *block = malloc(1000);
    malloc_stats();
    fflush(NULL);
    dup2(old_err, 2), dup2(old_out, 1);
    close(err[1]), close(out[1]);
    char text[8192];
    ssize_t length = read(err[0], text, sizeof text - 1);
    CHECK(length > 20 && text[length - 1] == '\n');
    CHECK(read(out[0], text, sizeof text) == 0);
    free(block);
    return 0;
}

/* ld.so(8), getauxval(3) AT_SECURE: a set-user-ID program takes no orders from its caller's
   environment. Linked with the library, owned by root, mode 4755, run by another user with NEAP_
   variables that would print a line if they were read. */
#include "check.h"
#include <sys/auxv.h>

int main(int argc, char **argv) {
    if (argc == 2) {
        /* The starter: gives up root, then runs the program given. */
        if (geteuid() != 0)
            SKIP("not root\n");
        CHECK(setgid(65534) == 0 && setuid(65534) == 0);
        setenv("NEAP_BACKEND", "nonsense", 1);
        setenv("NEAP_HELPER", "nonsense", 1);
        setenv("NEAP_CHECK", "nonsense", 1);
        setenv("NEAP_BOARD", "/tmp", 1);
        execl(argv[1], argv[1], (char *)NULL);
        SKIP("cannot run %s as another user: %s\n", argv[1], strerror(errno));
    }
    if (!getauxval(AT_SECURE))
        SKIP("no set-user-ID on this file system\n");
    void *blocks[1000];
    for (size_t i = 0; i < 1000; i++)
        CHECK((blocks[i] = malloc(i * 20)) != NULL);
    for (size_t i = 0; i < 1000; i++)
        free(blocks[i]);
    return 0;
}

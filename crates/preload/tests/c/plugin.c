/* What dlopen_dlclose_loop loads: a library that allocates in its constructor, frees in its
   destructor, and has thread-local variables. */
#include <stdlib.h>
#include <string.h>

static char *block;
static __thread char *local;

__attribute__((constructor)) static void load(void) {
    block = malloc(5000);
    memset(block, 1, 5000);
}

__attribute__((destructor)) static void unload(void) {
    free(block);
    free(local);
}

char *plugin_allocate(size_t size) {
    free(local);
    local = malloc(size);
    memset(local, 2, size);
    return malloc(size);
}

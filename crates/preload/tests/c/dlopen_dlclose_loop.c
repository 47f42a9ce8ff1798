/* Libraries that allocate come and go: dlopen(3), dlclose(3), in threads too. argv[1] is plugin.so. */
#include "check.h"
#include <dlfcn.h>
#include <pthread.h>

static const char *path;

static void *load_and_unload(void *rounds) {
    for (int i = 0; i < (int)(uintptr_t)rounds; i++) {
        void *library = dlopen(path, i % 2 ? RTLD_NOW : RTLD_LAZY);
        CHECK(library != NULL);
        char *(*allocate)(size_t) = (char *(*)(size_t))dlsym(library, "plugin_allocate");
        CHECK(allocate != NULL);
        char *block = allocate((size_t)i * 100 + 1);
        CHECK(block != NULL);
        CHECK(dlsym(library, "no_such_name") == NULL && dlerror() != NULL);
        CHECK(dlclose(library) == 0);
        memset(block, 3, (size_t)i * 100 + 1);
        free(block);
        CHECK(dlopen("/no/such/library.so", RTLD_NOW) == NULL && dlerror() != NULL);
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    path = argv[1];
    load_and_unload((void *)300);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, load_and_unload, (void *)100) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    return 0;
}

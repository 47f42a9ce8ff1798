/* The library may be loaded late and beside another malloc: its static thread-local block is small
   enough for dlopen(3), also after others have taken room. argv[1] is libneap.so; nothing is preloaded. */
#include "check.h"
#include <dlfcn.h>
#include <pthread.h>

static void *(*allocate)(size_t);
static void (*release)(void *);

static void *use(void *unused) {
    void *blocks[500];
    for (size_t i = 0; i < 500; i++) {
        CHECK((blocks[i] = allocate(i * 37)) != NULL);
        memset(blocks[i], 1, i * 37);
    }
    for (size_t i = 0; i < 500; i++)
        release(blocks[i]);
    return unused;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        say("%s\n", dlerror());
    CHECK(library != NULL);
    allocate = (void *(*)(size_t))dlsym(library, "malloc");
    release = (void (*)(void *))dlsym(library, "free");
    CHECK(allocate != NULL && release != NULL && (void *)allocate != (void *)malloc);
    use(NULL);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, use, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}

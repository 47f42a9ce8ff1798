// Wherever a program's first allocation happens, it works: in a library that is initialised before all
// others (ld's -z initfirst) and in its IFUNC resolver, in constructors of every priority and in a thread that
// one of them starts, in a constructor of a thread_local object, in a signal handler, in the child of fork(2)
// and of vfork(2), in a library loaded late, in atexit(3) handlers and destructors.
// argv: which, and the library to load late. The library it is linked with is early.c.
#include "check.h"
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <string>
#include <sys/wait.h>
#include <thread>

extern "C" const char *early_block(void);
extern "C" int early_answer(void);

static void *kept[4];

static void use(int slot) {
    kept[slot] = malloc(1000);
    CHECK(kept[slot] != NULL);
    memset(kept[slot], slot, 1000);
    free(new std::string(300, 'x') == NULL ? NULL : calloc(3, 5000));
}

__attribute__((constructor(101))) static void first() { use(0); }
__attribute__((constructor(65535))) static void last() { use(1); }

// Initialised dynamically, before main and by a thread that main does not know.
static std::string global = [] {
    std::string text;
    std::thread([&] {
        text.assign(5000, 'y');
        use(2);
    }).join();
    return text;
}();

static thread_local std::string of_thread(3000, 'z');

static void on_signal(int) {
    free(malloc(100));
    free(malloc(3000000));
}

static void at_the_end() { free(malloc(7000)); }

static void in_children() {
    pid_t child = fork();
    if (child == 0) {
        std::thread([] { of_thread += "forked"; }).join();
        _exit(of_thread.size() == 3000 ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    child = vfork();
    if (child == 0) {
        free(malloc(12345));
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    CHECK(strcmp(early_block(), "early") == 0 && early_answer() == 42);
    for (int i = 0; i < 3; i++) {
        CHECK(*((unsigned char *)kept[i] + 999) == i);
        free(kept[i]);
    }
    CHECK(global.size() == 5000 && global[4999] == 'y');
    CHECK(atexit(at_the_end) == 0);
    signal(SIGUSR1, on_signal);
    CHECK(raise(SIGUSR1) == 0);
    std::thread([] {
        raise(SIGUSR1);
        CHECK(of_thread.size() == 3000);
    }).join();
    in_children();
    // In a thread whose first allocation is ld.so's.
    std::thread([&] {
        void *library = dlopen(argv[1], RTLD_NOW);
        CHECK(library != NULL);
        auto allocate = reinterpret_cast<char *(*)(size_t)>(dlsym(library, "plugin_allocate"));
        CHECK(allocate != NULL);
        free(allocate(100));
        CHECK(dlclose(library) == 0);
    }).join();
    return 0;
}

/* Every name of a C library's malloc, and every operator new and delete, resolves to one library: a
   program that takes one of them from elsewhere would hand blocks to the wrong heap. */
#include "check.h"
#include <dlfcn.h>

static const char *const names[] = {
    "malloc", "free", "calloc", "realloc", "reallocarray", "posix_memalign", "aligned_alloc", "memalign",
    "valloc", "pvalloc", "malloc_usable_size", "cfree", "free_sized", "free_aligned_sized", "malloc_trim",
    "mallopt", "mallinfo", "mallinfo2", "malloc_stats", "malloc_info",
    "__libc_malloc", "__libc_calloc", "__libc_realloc", "__libc_free", "__libc_memalign", "__libc_valloc",
    "__libc_pvalloc", "__posix_memalign",
    "_Znwm", "_ZnwmRKSt9nothrow_t", "_ZnwmSt11align_val_t", "_ZnwmSt11align_val_tRKSt9nothrow_t",
    "_Znam", "_ZnamRKSt9nothrow_t", "_ZnamSt11align_val_t", "_ZnamSt11align_val_tRKSt9nothrow_t",
    "_ZdlPv", "_ZdlPvm", "_ZdlPvRKSt9nothrow_t", "_ZdlPvSt11align_val_t", "_ZdlPvmSt11align_val_t",
    "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    "_ZdaPv", "_ZdaPvm", "_ZdaPvRKSt9nothrow_t", "_ZdaPvSt11align_val_t", "_ZdaPvmSt11align_val_t",
    "_ZdaPvSt11align_val_tRKSt9nothrow_t",
};

int main(void) {
    int wrong = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *symbol = dlsym(RTLD_DEFAULT, names[i]);
        Dl_info from = {0};
        if (symbol == NULL) {
            say("%s: does not resolve\n", names[i]);
            wrong++;
        } else if (dladdr(symbol, &from) == 0 || strstr(from.dli_fname, "libneap.so") == NULL) {
            say("%s: comes from %s\n", names[i], from.dli_fname ? from.dli_fname : "nowhere");
            wrong++;
        }
    }
    CHECK(wrong == 0);
    return 0;
}

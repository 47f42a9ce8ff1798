// [new.delete.single]: when storage is not to be had, operator new calls the new_handler again and
// again until there is storage, the handler throws, or there is no handler any more.
#include "check.h"
#include <new>

static int calls;
struct Own {};

int main() {
    size_t huge = OPAQUE(static_cast<size_t>(PTRDIFF_MAX) - 4096);

    std::set_new_handler([] {
        if (++calls == 3)
            std::set_new_handler(nullptr);
    });
    bool thrown = false;
    try {
        ::operator delete(::operator new(huge));
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown && calls == 3);

    calls = 0;
    std::set_new_handler([] {
        calls++;
        throw Own();
    });
    for (int form = 0; form < 2; form++) {
        thrown = false;
        try {
            ::operator delete(form ? ::operator new(huge, std::align_val_t{128}) : ::operator new(huge));
        } catch (const Own &) {
            thrown = true;
        }
        CHECK(thrown && calls == form + 1);
    }

    // Memory that the handler frees is found by the next try.
    static char *reserve;
    struct rlimit old, tight;
    getrlimit(RLIMIT_AS, &old);
    reserve = static_cast<char *>(malloc(512 * MIB));
    CHECK(reserve != nullptr);
    long long size = proc_number("/proc/self/status", "\nVmSize:");
    tight = old;
    tight.rlim_cur = static_cast<rlim_t>(size) * KIB + 64 * MIB;
    CHECK(setrlimit(RLIMIT_AS, &tight) == 0);
    calls = 0;
    std::set_new_handler([] {
        calls++;
        if (calls > 20)
            throw std::bad_alloc();
        free(reserve);
        reserve = nullptr;
        malloc_trim(0);
    });
    void *block = ::operator new(256 * MIB);
    CHECK(block != nullptr && calls >= 1);
    ::operator delete(block);
    CHECK(setrlimit(RLIMIT_AS, &old) == 0);
    return 0;
}

// [new.delete.single]: operator new returns storage or throws std::bad_alloc; the storage is aligned
// and every form of operator delete takes it back.
#include "check.h"
#include <new>
#include <vector>

// What is stored here the compiler cannot leave out.
static void *volatile sink;

template <typename Call> static void throws(Call call) {
    bool thrown = false;
    try {
        call();
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown);
}

struct alignas(256) Wide {
    char bytes[512];
};

int main() {
    for (size_t size : {static_cast<size_t>(PTRDIFF_MAX) + 1, SIZE_MAX - 64, static_cast<size_t>(PTRDIFF_MAX) - 4096}) {
        size_t huge = OPAQUE(size);
        throws([&] { sink = ::operator new(huge); });
        throws([&] { sink = ::operator new[](huge); });
        throws([&] { sink = ::operator new(huge, std::align_val_t{64}); });
        throws([&] { sink = ::operator new[](huge, std::align_val_t{4096}); });
    }
    throws([] {
        std::vector<long> v;
        v.reserve(v.max_size());
        sink = v.data();
    });

    for (int round = 0; round < 100; round++) {
        for (size_t size : {0, 1, 24, 1000, 70000}) {
            void *a = ::operator new(size), *b = ::operator new[](size), *c = ::operator new(size);
            CHECK(a && b && c && a != b);
            CHECK(reinterpret_cast<uintptr_t>(a) % 16 == 0 && reinterpret_cast<uintptr_t>(b) % 16 == 0);
            memset(a, 1, size), memset(b, 2, size), memset(c, 3, size);
            ::operator delete(a, size);
            ::operator delete[](b, size);
            ::operator delete(c);
            for (size_t align : {16, 64, 4096}) {
                auto alignment = std::align_val_t{align};
                void *d = ::operator new(size, alignment), *e = ::operator new[](size, alignment);
                void *f = ::operator new(size, alignment), *g = ::operator new(size, alignment, std::nothrow);
                CHECK(reinterpret_cast<uintptr_t>(d) % align == 0 && reinterpret_cast<uintptr_t>(e) % align == 0);
                memset(d, 4, size), memset(e, 5, size);
                ::operator delete(d, alignment);
                ::operator delete[](e, size, alignment);
                ::operator delete(f, size, alignment);
                ::operator delete(g, alignment, std::nothrow);
            }
        }
        Wide *wide = new Wide[7];
        CHECK(reinterpret_cast<uintptr_t>(wide) % 256 == 0);
        delete[] wide;
    }
    ::operator delete(nullptr);
    ::operator delete[](nullptr, std::align_val_t{64});
    return 0;
}

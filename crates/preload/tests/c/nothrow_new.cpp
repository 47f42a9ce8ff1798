// [new.delete.single]: the nothrow forms call the new_handler too, and return a null pointer where the
// others throw.
#include "check.h"
#include <new>

static int calls;

int main() {
    size_t huge = OPAQUE(static_cast<size_t>(PTRDIFF_MAX) - 4096);
    CHECK(::operator new(huge, std::nothrow) == nullptr);
    CHECK(::operator new[](huge, std::nothrow) == nullptr);
    CHECK(::operator new(huge, std::align_val_t{64}, std::nothrow) == nullptr);
    CHECK(::operator new[](huge, std::align_val_t{64}, std::nothrow) == nullptr);

    std::set_new_handler([] {
        calls++;
        throw std::bad_alloc();
    });
    CHECK(::operator new(huge, std::nothrow) == nullptr && calls == 1);
    CHECK(::operator new[](huge, std::nothrow) == nullptr && calls == 2);
    CHECK(::operator new(huge, std::align_val_t{64}, std::nothrow) == nullptr && calls == 3);

    char *one = new (std::nothrow) char[100];
    CHECK(one != nullptr);
    memset(one, 1, 100);
    delete[] one;
    void *two = ::operator new(100, std::nothrow);
    ::operator delete(two, std::nothrow);
    CHECK(calls == 3);
    return 0;
}

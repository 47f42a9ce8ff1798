// C++ thread_local objects are destroyed when their thread ends, and theirs is the last word: they
// allocate and free after the program thinks the thread is done.
#include "check.h"
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

struct Late {
    std::map<int, std::string> entries;
    std::unique_ptr<std::vector<std::string>> words = std::make_unique<std::vector<std::string>>();
    ~Late() {
        for (int i = 0; i < 200; i++)
            entries[i] = std::string(static_cast<size_t>(i), 'x');
        words->assign(300, "a word too long for the small string buffer");
    }
};

static thread_local Late first, second;
static Late global;

int main() {
    for (int round = 0; round < 50; round++) {
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; i++)
            threads.emplace_back([i] {
                first.entries[i] = "here";
                second.words->push_back("there");
            });
        for (auto &thread : threads)
            thread.join();
    }
    global.entries[1] = "one";
    first.entries[1] = "main";
    return 0;
}

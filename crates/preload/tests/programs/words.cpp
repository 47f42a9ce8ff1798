// What g++ -O2 compiles in the tests: templates enough to make it work for its memory.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <numeric>
#include <random>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

using Value = std::variant<int, double, std::string, std::vector<int>>;

template <int N> struct Tower {
    std::map<int, std::tuple<std::string, Value, typename Tower<N - 1>::Floor>> floors;
    using Floor = std::pair<std::unordered_map<std::string, int>, std::vector<Value>>;
    Value top() const { return std::visit([](auto const &v) -> Value { return v; }, std::get<1>(floors.begin()->second)); }
};
template <> struct Tower<0> {
    using Floor = int;
};
template struct Tower<1>;
template struct Tower<4>;
template struct Tower<8>;

std::map<std::string, int> count(const std::string &text) {
    static const std::regex word("([a-z]+)(-[a-z]+)*", std::regex::icase | std::regex::optimize);
    std::map<std::string, int> counts;
    for (std::sregex_iterator at(text.begin(), text.end(), word), end; at != end; ++at)
        counts[at->str()]++;
    return counts;
}

int main() {
    std::ostringstream text;
    std::mt19937 random(1);
    for (int i = 0; i < 10000; i++)
        text << static_cast<char>('a' + random() % 26) << static_cast<char>('a' + random() % 4) << (i % 7 ? " " : "-");
    auto counts = count(text.str());
    std::vector<std::pair<int, std::string>> order;
    for (auto &[word, n] : counts)
        order.emplace_back(n, word);
    std::sort(order.begin(), order.end(), std::greater<>());
    for (auto &[n, word] : order)
        std::cout << n << ' ' << word << '\n';
}

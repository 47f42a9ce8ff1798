// A unit that makes a compiler work: templates, containers, virtual functions.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

template <int N>
struct Shape {
    virtual ~Shape() = default;
    virtual double area() const { return N; }
    std::map<int, std::vector<std::string>> labels;
    std::string tag;
};

template <int N>
double work(std::unordered_map<std::string, std::unique_ptr<Shape<N>>> &shapes) {
    std::vector<std::pair<std::string, Shape<N> *>> calls;
    for (auto &[name, shape] : shapes) {
        calls.emplace_back(name, shape.get());
    }
    std::sort(calls.begin(), calls.end(), [](auto &a, auto &b) { return a.first < b.first; });
    double sum = 0;
    for (auto &[name, call] : calls) sum += call->area() + name.size();
    if constexpr (N > 0) {
        std::unordered_map<std::string, std::unique_ptr<Shape<N - 1>>> less;
        less.emplace("n" + std::to_string(N), std::make_unique<Shape<N - 1>>());
        return sum + work<N - 1>(less);
    }
    return sum;
}

int main() {
    std::unordered_map<std::string, std::unique_ptr<Shape<2>>> shapes;
    shapes.emplace("a", std::make_unique<Shape<2>>());
    return work<2>(shapes) > 0 ? 0 : 1;
}

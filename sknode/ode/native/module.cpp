// The Python module of one instruction set. Buffers come in and go out as addresses of contiguous
// memory, which the Python side owns.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <chrono>

#include "solver.hpp"

namespace nb = nanobind;
using Address = uintptr_t;

namespace sknode::SKNODE_ISA {

static_assert(sizeof(Lanes<float>) == BLOCK_BYTES && sizeof(Lanes<double>) == BLOCK_BYTES);

template <class T> std::vector<T> cast(const std::vector<double>& numbers) {
    return {numbers.begin(), numbers.end()};
}
template <class T> T* at(Address address) { return reinterpret_cast<T*>(address); }
template <class T> std::vector<T*> pointers(const std::vector<Address>& addresses) {
    std::vector<T*> result;
    for (const Address address : addresses) result.push_back(at<T>(address));
    return result;
}

// Asks Python now and then whether a signal has come.
class Poll {
  public:
    bool operator()() {
        const auto now = std::chrono::steady_clock::now();
        if (now < next_) return false;
        next_ = now + PERIOD;
        nb::gil_scoped_acquire gil;
        return PyErr_CheckSignals() != 0;
    }

  private:
    static constexpr std::chrono::milliseconds PERIOD{50};
    std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now() + PERIOD;
};

nb::tuple as_tuple(const Result& result) {
    static const char* names[] = {"arrived", "too many steps", "stuck", "overflow", ""};
    if (result.ending == Ending::interrupted) throw nb::python_error();
    return nb::make_tuple(
        names[int(result.ending)], result.n_steps, result.n_evaluations, result.n_failed,
        result.first_step, result.left, result.stretch);
}

// Calls f while other threads of Python may run.
template <class F> nb::tuple without_gil(F f) {
    Result result;
    {
        nb::gil_scoped_release release;
        result = f();
    }
    return as_tuple(result);
}

template <class T>
Control<T> make_control(bool adapt, const std::vector<double>& numbers, int max_steps) {
    // The numbers are rtol, atol, first step, safety, least factor, largest factor, grain.
    const auto n = cast<T>(numbers);
    return {adapt, n[0], n[1], max_steps, n[2], n[3], n[4], n[5], n[6]};
}

template <class T> void bind_solver(nb::module_& m, const char* name) {
    using S = Solver<T>;
    nb::class_<S>(m, name)
        .def(
            "__init__",
            [](S* self, int n_members, std::vector<int> sizes, const std::string& activation,
               bool time_dependent, int order, bool fsal, const std::vector<double>& c,
               const std::vector<double>& a, const std::vector<double>& b,
               const std::vector<double>& b_error, const std::vector<double>& b_dense) {
                new (self)
                    S(n_members, std::move(sizes), activation_named(activation), time_dependent,
                      {order, int(b.size()), fsal, cast<T>(c), cast<T>(a), cast<T>(b),
                       cast<T>(b_error), cast<T>(b_dense)});
            })
        .def(
            "load",
            [](S& self, const std::vector<Address>& parameters) {
                self.load(pointers<const T>(parameters));
            })
        .def(
            "solve",
            [](S& self, Address z0, int n_rows, const std::vector<double>& times,
               const std::vector<double>& nodes, bool adapt, const std::vector<double>& control,
               int max_steps, bool record, Address z, Address counts, Address energy,
               int n_threads) {
                return without_gil([&] {
                    return self.solve(
                        {at<const T>(z0), n_rows, times, nodes,
                         make_control<T>(adapt, control, max_steps), record},
                        {at<T>(z), at<int64_t>(counts), at<T>(energy)}, n_threads, Poll());
                });
            })
        .def(
            "pull_back",
            [](S& self, Address g, Address pull, Address start,
               const std::vector<Address>& gradient, int n_threads) {
                return without_gil([&] {
                    return self.pull_back(
                        {at<const T>(g), at<const T>(pull), at<T>(start)}, pointers<T>(gradient),
                        n_threads, Poll());
                });
            })
        .def(
            "pull_back_continuously",
            [](S& self, Address z, Address g, Address pull, Address pull_square, int n_rows,
               const std::vector<std::vector<double>>& stretches, bool adapt,
               const std::vector<double>& control, int max_steps, Address start,
               const std::vector<Address>& gradient, int n_threads) {
                return without_gil([&] {
                    return self.pull_back_continuously(
                        {at<const T>(z), at<const T>(pull_square), n_rows, stretches,
                         make_control<T>(adapt, control, max_steps)},
                        {at<const T>(g), at<const T>(pull), at<T>(start)}, pointers<T>(gradient),
                        n_threads, Poll());
                });
            });
}

// The instruction sets of this machine, the best last.
std::vector<std::string> supported() {
    std::vector<std::string> names{"baseline"};
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        names.push_back("avx2");
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
            names.push_back("avx512");
    }
#endif
    return names;
}

}  // namespace sknode::SKNODE_ISA

#define SKNODE_JOIN_(a, b) a##b
#define SKNODE_JOIN(a, b) SKNODE_JOIN_(a, b)

NB_MODULE(SKNODE_JOIN(_engine_, SKNODE_ISA), m) {
    using namespace sknode::SKNODE_ISA;
    // A solver may well live until the interpreter ends; to say so would only alarm.
    nb::set_leak_warnings(false);
    m.def("supported", &supported);
    bind_solver<float>(m, "SolverFloat32");
    bind_solver<double>(m, "SolverFloat64");
}

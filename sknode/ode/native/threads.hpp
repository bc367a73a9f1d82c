// Tasks that do not depend on each other, shared out over threads.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <system_error>
#include <thread>
#include <vector>

#include "lanes.hpp"

namespace sknode::SKNODE_ISA {

// Calls f(task, thread, interrupted) for all tasks, on so many threads, and returns whether `poll`
// has interrupted them. Threads live no longer than the call, so that a fork finds none.
template <class F>
bool for_each(int n_tasks, int n_threads, const std::function<bool()>& poll, F f) {
    std::atomic<int> next{0};
    std::atomic<bool> stop{false};
    std::vector<std::exception_ptr> errors(n_threads);
    auto work_off = [&](int thread) {
        // Only the calling thread may ask Python whether the user has had enough.
        auto interrupted = [&] {
            if (thread == 0 && poll()) stop = true;
            return stop.load(std::memory_order_relaxed);
        };
        try {
            for (int task = next++; task < n_tasks && !stop; task = next++)
                f(task, thread, interrupted);
        } catch (...) {
            errors[thread] = std::current_exception();
            stop = true;
        }
    };
    std::vector<std::thread> threads;
    try {
        for (int i = 1; i < n_threads; ++i) threads.emplace_back(work_off, i);
    } catch (const std::system_error&) {
        // No more threads are to be had, and those there are do all the work.
    }
    work_off(0);
    for (auto& thread : threads) thread.join();
    for (const auto& error : errors)
        if (error) std::rethrow_exception(error);
    return stop;
}

}  // namespace sknode::SKNODE_ISA

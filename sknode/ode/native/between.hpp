// The times between the first and the last, at which states are read off the steps around them.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "integrate.hpp"

namespace sknode::SKNODE_ISA {

template <class T> class Between {
  public:
    void find(const std::vector<double>& times) {
        left_.clear();
        const T first = T(times.back() - times.front());
        for (size_t i = 1; i + 1 < times.size(); ++i) {
            const T left = T(times.back() - times[i]);
            // A time so near to the first that rounding makes them one belongs to the first step.
            const bool later = std::abs(left) < std::abs(first);
            left_.push_back(later ? left : std::nextafter(first, T(0)));
        }
    }

    size_t size() const { return left_.size(); }
    bool empty() const { return left_.empty(); }

    // The times, which are in order, that may lie within the step of a row: from the first of the
    // two on, up to and without the second.
    std::pair<size_t, size_t> within(const Step<T>& step) const {
        if (empty()) return {0, 0};
        T first = 0;
        T last = std::numeric_limits<T>::infinity();
        for (int i = 0; i < Lanes<T>::count; ++i) {
            if (step.before[i] == step.after[i]) continue;
            first = std::max(first, std::abs(step.before[i]));
            last = std::min(last, std::abs(step.after[i]));
        }
        return {later_than(first), later_than(std::min(first, last))};
    }

    // Whether a time lies within any row's step. `mask` tells which rows, and `theta` where.
    bool inside(size_t time, const Step<T>& step, Mask<T>& mask, Lanes<T>& theta) const {
        const T left = left_[time];
        bool any = false;
        for (int i = 0; i < Lanes<T>::count; ++i) {
            const bool in = inside_lane(step, left, i);
            mask.set(i, in);
            theta.set(i, in ? (step.before[i] - left) / step.h[i] : T(0));
            any = any || in;
        }
        return any;
    }

  private:
    std::vector<T> left_;  // the time left to go at each

    // The time left at a step's ends decides, which neighbouring steps share to the last bit.
    static bool inside_lane(const Step<T>& step, T left, int lane) {
        return std::abs(step.after[lane]) <= std::abs(left) &&
               std::abs(left) < std::abs(step.before[lane]);
    }

    // The first time with less than `bound` left to go.
    size_t later_than(T bound) const {
        const auto earlier = [bound](T left) { return std::abs(left) >= bound; };
        const auto found = std::partition_point(left_.begin(), left_.end(), earlier);
        return size_t(found - left_.begin());
    }
};

}  // namespace sknode::SKNODE_ISA

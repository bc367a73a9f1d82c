// The numbers of a Runge-Kutta method, handed over by the Python side.
#pragma once

#include <vector>

#include "lanes.hpp"

namespace sknode::SKNODE_ISA {

template <class T> struct Tableau {
    int order, n_stages;
    bool fsal;
    std::vector<T> c, a, b, b_error, b_dense;  // a: (stages, stages), b_dense: (stages, powers)

    // A method with FSAL has the first stage from the step before.
    int stages_of_a_step() const { return n_stages - fsal; }

    T a_at(int i, int j) const { return a[size_t(i) * n_stages + j]; }

    // b_i(theta)
    Lanes<T> dense(int i, const Lanes<T>& theta) const {
        const int n_powers = int(b_dense.size()) / n_stages;
        Lanes<T> sum = Lanes<T>::all(0);
        for (int p = n_powers - 1; p >= 0; --p)
            sum = (sum + Lanes<T>::all(b_dense[size_t(i) * n_powers + p])) * theta;
        return sum;
    }
};

}  // namespace sknode::SKNODE_ISA

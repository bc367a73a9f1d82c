// Step sizes, a row at a time: the formulas of eager/control.py.
#pragma once

#include <algorithm>
#include <cmath>

#include "lanes.hpp"

namespace sknode::SKNODE_ISA {

template <class T> struct Control {
    bool adapt;  // without it, steps go from node to node
    T rtol, atol;
    int max_steps;
    T first_step;  // each row chooses its own where this is zero
    T safety, least_factor, largest_factor, grain;

    // The inverse of the tolerance of a state x.
    Lanes<T> scale(const Lanes<T>& x) const {
        const Lanes<T> size = map(x, [](auto u) { return absolute<T>(u); });
        return Lanes<T>::all(1) / add(Lanes<T>::all(atol), rtol, size);
    }

    // Controller.judge: by what factor each row's step may change, and which steps are accepted,
    // from the sum of the squares of a row's scaled errors.
    Lanes<T> judge(const Lanes<T>& squares, int n_dims, int order, Mask<T>& accepted) const {
        const T bound = std::sqrt(T(n_dims));
        const T at_one = safety / grain * std::pow(bound, T(1) / order);
        Lanes<T> factor{};
        for (int i = 0; i < Lanes<T>::count; ++i) {
            const T norm = std::sqrt(squares[i]);
            accepted.set(i, norm <= bound);
            T grains = std::pow(norm, T(-1) / order) * at_one;
            if (!(grains == grains)) grains = 0;
            grains = std::min(std::max(grains, least_factor / grain), largest_factor / grain);
            factor.set(i, std::floor(grains) * grain);
        }
        return factor;
    }

    // Controller.first_step up to its evaluation: the length of the trial step from a state whose
    // scaled norm is `size` and whose derivative's is `slope`.
    T trial_step(T size, T slope, T most) const {
        const bool tiny = size < T(1e-5) || slope < T(1e-5);
        const T trial = tiny ? T(1e-6) : T(0.01) * size / slope;
        return trial > most ? most : trial;
    }

    // The rest of Controller.first_step: the length of the first step, where the derivative changed
    // over the trial step at the rate `bend`.
    T first_step_after(T trial, T slope, T bend, int order, T most) const {
        const T largest = slope > bend ? slope : bend;
        T step = largest <= T(1e-15) ? std::max(trial * T(1e-3), T(1e-6))
                                     : std::pow(T(0.01) / largest, T(1) / order);
        if (!(step <= 100 * trial)) step = 100 * trial;
        int exponent;
        const T mantissa = std::frexp(step, &exponent);
        step = std::ldexp(std::floor(mantissa / grain) * grain, exponent);
        return step > most ? most : step;
    }
};

}  // namespace sknode::SKNODE_ISA

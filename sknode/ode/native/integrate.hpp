// The stepping loops over one block of rows: a fixed grid, and adaptive with a step size for each
// row. They take the decisions of eager/stepping.py.
#pragma once

#include <cmath>
#include <vector>

#include "control.hpp"
#include "tableau.hpp"

namespace sknode::SKNODE_ISA {

enum class Ending { arrived, too_many_steps, stuck, overflow, interrupted };

// How the walk of a block ended.
template <class T> struct Outcome {
    Ending ending = Ending::arrived;
    int n_steps = 0;
    int n_evaluations = 0;  // those outside of the steps
    Mask<T> failed;
    Lanes<T> left;  // the time left to go where a row failed
    Lanes<T> first_proposal;
    int accepted[Lanes<T>::count] = {};  // how many steps of each row
    int rejected[Lanes<T>::count] = {};
};

// One step of a block: its sizes, zero for rows that were rejected or are finished, and the time
// left to go at its two ends.
template <class T> struct Step {
    Lanes<T> h, before, after;
};

// Moves the state of a block through a system. A system keeps the arguments of its `dims` states
// and the time: `argument(stage, d)`, `set_time(stage, t)`; `evaluate(stage, k)` takes the
// derivative there; `hold(accepted)` makes other rows look as if they had stood still;
// `advance(fsal)` begins a new step, whose first stage is the last one of a method with FSAL.
// The walk tells `seen(step)` of every step while the stages still hold it.
template <class T, class System> class Walk {
  public:
    Walk(System& system, const Tableau<T>& tableau, const Control<T>& control)
        : system_(system), tableau_(tableau), control_(control), dims_(system.dims) {
        auto& room = system.room;
        room.resize(size_t(dims_) * (tableau.n_stages + 3));
        x = room.data();
        stages = x + dims_;
        k_ = stages + size_t(dims_) * tableau.n_stages;
        next_k_ = k_ + dims_;
    }

    Lanes<T>* x;       // (dims,)
    Lanes<T>* stages;  // (stages, dims)

    // Goes from x at the first node to the last: from node to node, or in steps of its own choice.
    // Lanes that are not `used` stand still.
    template <class Seen, class Interrupted>
    Outcome<T> go(
        const std::vector<double>& nodes, const Mask<T>& used, Seen seen, Interrupted interrupted) {
        t_ = Lanes<T>::all(T(nodes.front()));
        known_ = false;
        outcome_ = {};
        if (control_.adapt)
            adaptive(nodes.front(), nodes.back(), used, seen, interrupted);
        else
            fixed(nodes, used, seen, interrupted);
        return outcome_;
    }

  private:
    System& system_;
    const Tableau<T>& tableau_;
    const Control<T>& control_;
    const int dims_;
    Lanes<T>* k_;  // the derivative at x, if it is known
    bool known_ = false;
    Lanes<T>* next_k_;  // that of the last stage
    Lanes<T> t_;
    Outcome<T> outcome_;

    Lanes<T>& stage(int i, int d) const { return stages[size_t(i) * dims_ + d]; }

    void first_stage() {
        if (known_) return;
        for (int d = 0; d < dims_; ++d) *system_.argument(0, d) = x[d];
        system_.set_time(0, t_);
        system_.evaluate(0, k_);
        known_ = true;
        ++outcome_.n_evaluations;
    }

    // Fills the stages S_i = h k_i.
    void try_step(const Lanes<T>& h) {
        first_stage();
        for (int d = 0; d < dims_; ++d) stage(0, d) = k_[d] * h;
        for (int i = 1; i < tableau_.n_stages; ++i) {
            for (int d = 0; d < dims_; ++d) {
                Lanes<T> sum = x[d];
                for (int j = 0; j < i; ++j)
                    if (tableau_.a_at(i, j) != 0) sum = add(sum, tableau_.a_at(i, j), stage(j, d));
                *system_.argument(i, d) = sum;
            }
            system_.set_time(i, add(t_, tableau_.c[i], h));
            system_.evaluate(i, next_k_);
            for (int d = 0; d < dims_; ++d) stage(i, d) = next_k_[d] * h;
        }
    }

    Lanes<T> end(int d) const {
        if (tableau_.fsal) return *system_.argument(tableau_.n_stages - 1, d);
        Lanes<T> sum = x[d];
        for (int i = 0; i < tableau_.n_stages; ++i)
            if (tableau_.b[i] != 0) sum = add(sum, tableau_.b[i], stage(i, d));
        return sum;
    }

    // Takes the rows that were accepted to the end of the step.
    void move(const Mask<T>& accepted, const Lanes<T>& h) {
        for (int d = 0; d < dims_; ++d) x[d] = select(accepted, end(d), x[d]);
        t_ = t_ + h;
        known_ = tableau_.fsal;
        if (tableau_.fsal)
            for (int d = 0; d < dims_; ++d) k_[d] = select(accepted, next_k_[d], k_[d]);
        system_.advance(tableau_.fsal);
    }

    template <class Seen, class Interrupted>
    void fixed(
        const std::vector<double>& grid, const Mask<T>& used, Seen& seen,
        Interrupted& interrupted) {
        const int n = int(grid.size()) - 1;
        const Lanes<T> zero = Lanes<T>::all(0);
        int n_finite = -1;
        for (int i = 0; i < n; ++i) {
            if (interrupted()) {
                outcome_.ending = Ending::interrupted;
                return;
            }
            Step<T> step;
            step.h = select(used, Lanes<T>::all(T(grid[i + 1] - grid[i])), zero);
            step.before = select(used, Lanes<T>::all(T(grid[n] - grid[i])), zero);
            step.after = select(used, Lanes<T>::all(T(grid[n] - grid[i + 1])), zero);
            try_step(step.h);
            // All evaluations of an FSAL method but the first belong to the steps.
            if (!tableau_.fsal) --outcome_.n_evaluations;
            ++outcome_.n_steps;
            seen(step);
            move(used, step.h);
            if (n_finite < 0 && !finite(outcome_.failed)) n_finite = i;
        }
        for (int i = 0; i < Lanes<T>::count; ++i) outcome_.accepted[i] = used[i] ? n : 0;
        if (finite(outcome_.failed)) return;
        outcome_.ending = Ending::overflow;
        outcome_.n_steps = n_finite;
    }

    // Whether x is finite; `failed` are the lanes in which it is not.
    bool finite(Mask<T>& failed) const {
        bool all = true;
        Lanes<T> sum = Lanes<T>::all(0);
        for (int d = 0; d < dims_; ++d) sum = sum + (x[d] - x[d]);
        for (int i = 0; i < Lanes<T>::count; ++i) {
            const bool bad = !(sum[i] == 0);
            failed.set(i, bad);
            all = all && !bad;
        }
        return all;
    }

    template <class Seen, class Interrupted>
    void adaptive(
        double start, double stop, const Mask<T>& used, Seen& seen, Interrupted& interrupted) {
        const T span = T(stop - start);
        const Lanes<T> zero = Lanes<T>::all(0);
        Lanes<T> left = select(used, Lanes<T>::all(span), zero);
        Lanes<T> wanted = first_steps(span);
        for (int n = 1; n <= control_.max_steps; ++n) {
            if (interrupted()) {
                outcome_.ending = Ending::interrupted;
                return;
            }
            const Lanes<T> tried = at_most_left(wanted, left, span > 0);
            try_step(tried);
            Mask<T> accepted{};
            wanted = tried * judge(accepted);
            const Lanes<T> h = select(accepted, tried, zero);
            const Step<T> step{h, left, left - h};
            bool all_accepted = true;
            bool all_arrived = true;
            for (int i = 0; i < Lanes<T>::count; ++i) {
                if (left[i] != 0) ++(accepted[i] ? outcome_.accepted : outcome_.rejected)[i];
                all_accepted = all_accepted && accepted[i];
                all_arrived = all_arrived && step.after[i] == 0;
            }
            if (n == 1) outcome_.first_proposal = wanted;
            outcome_.n_steps = n;
            if (!all_accepted) system_.hold(accepted);
            seen(step);
            left = step.after;
            if (all_arrived) {
                for (int d = 0; d < dims_; ++d) x[d] = select(accepted, end(d), x[d]);
                return;
            }
            if (!all_accepted && stuck(T(stop), left, wanted)) return;
            move(accepted, step.h);
        }
        outcome_.ending = Ending::too_many_steps;
        outcome_.left = left;
        for (int i = 0; i < Lanes<T>::count; ++i) outcome_.failed.set(i, left[i] != 0);
    }

    // The shorter of two steps. NaN, for which no comparison holds, is handed on from `wanted`.
    static Lanes<T> at_most_left(const Lanes<T>& wanted, const Lanes<T>& left, bool forward) {
        return map(wanted, left, [forward](auto w, auto l) {
            return forward ? (w > l ? l : w) : (w < l ? l : w);
        });
    }

    // Whether a step has become too small to change the time, or is not a number.
    bool stuck(T stop, const Lanes<T>& left, const Lanes<T>& wanted) {
        bool any = false;
        for (int i = 0; i < Lanes<T>::count; ++i) {
            const T reached = stop - left[i];
            const T next = reached + wanted[i];
            const bool moves = std::abs(next - reached) > 0;
            outcome_.failed.set(i, left[i] != 0 && !moves);
            any = any || outcome_.failed[i];
        }
        if (any) {
            outcome_.ending = Ending::stuck;
            outcome_.left = left;
        }
        return any;
    }

    // The factor by which each row's step may change.
    Lanes<T> judge(Mask<T>& accepted) const {
        Lanes<T> squares = Lanes<T>::all(0);
        const Lanes<T> atol = Lanes<T>::all(control_.atol);
        for (int d = 0; d < dims_; ++d) {
            Lanes<T> error = Lanes<T>::all(0);
            for (int i = 0; i < tableau_.n_stages; ++i)
                if (tableau_.b_error[i] != 0) error = add(error, tableau_.b_error[i], stage(i, d));
            const Lanes<T> size = map(x[d], end(d), [](auto u, auto v) {
                const auto a = absolute<T>(u);
                const auto b = absolute<T>(v);
                // NaN on either side stays.
                return b <= a ? a : (a != a ? a : b);
            });
            const Lanes<T> scaled = error / add(atol, control_.rtol, size);
            squares = squares + scaled * scaled;
        }
        return control_.judge(squares, dims_, tableau_.order, accepted);
    }

    // The steps to begin with, which have the sign of `span`.
    Lanes<T> first_steps(T span) {
        const bool forward = span > 0;
        if (control_.first_step != 0)
            return Lanes<T>::all(forward ? control_.first_step : -control_.first_step);
        first_stage();
        Lanes<T> size = Lanes<T>::all(0);
        Lanes<T> slope = size;
        for (int d = 0; d < dims_; ++d) {
            const Lanes<T> scale = control_.scale(x[d]);
            const Lanes<T> u = x[d] * scale;
            const Lanes<T> v = k_[d] * scale;
            size = size + u * u;
            slope = slope + v * v;
        }
        const T root = std::sqrt(T(dims_));
        const T most = std::abs(span);
        Lanes<T> trial{};
        for (int i = 0; i < Lanes<T>::count; ++i) {
            slope.set(i, std::sqrt(slope[i]) / root);
            trial.set(i, control_.trial_step(std::sqrt(size[i]) / root, slope[i], most));
        }
        const Lanes<T> bend = bend_over(map(trial, [forward](auto t) { return forward ? t : -t; }));
        Lanes<T> result{};
        for (int i = 0; i < Lanes<T>::count; ++i) {
            const T rate = std::sqrt(bend[i]) / root / trial[i];
            const T step =
                control_.first_step_after(trial[i], slope[i], rate, tableau_.order, most);
            result.set(i, forward ? step : -step);
        }
        return result;
    }

    // The sum of the scaled squares of how much the derivative changes over an Euler step.
    Lanes<T> bend_over(const Lanes<T>& h) {
        for (int d = 0; d < dims_; ++d) *system_.argument(1, d) = x[d] + k_[d] * h;
        system_.set_time(1, t_ + h);
        system_.evaluate(1, next_k_);
        ++outcome_.n_evaluations;
        Lanes<T> sum = Lanes<T>::all(0);
        for (int d = 0; d < dims_; ++d) {
            const Lanes<T> v = (next_k_[d] - k_[d]) * control_.scale(x[d]);
            sum = sum + v * v;
        }
        return sum;
    }
};

}  // namespace sknode::SKNODE_ISA

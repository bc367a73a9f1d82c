// What a walk moves a block of rows through: the field itself, or the field with its adjoint.
#pragma once

#include <algorithm>
#include <vector>

#include "integrate.hpp"
#include "network.hpp"

namespace sknode::SKNODE_ISA {

// The steps of a block with their tapes and, for the kinetic energy, their stages S_i, zero in
// lanes that stand still. Memory is kept for the next solve.
template <class T> struct Record {
    std::vector<std::vector<Lanes<T>>> tapes, stages;
    std::vector<Step<T>> steps;

    static Lanes<T>* room(std::vector<std::vector<Lanes<T>>>& parts, size_t i, size_t size) {
        if (i >= parts.size()) parts.emplace_back();
        if (parts[i].size() < size) parts[i].resize(size);
        return parts[i].data();
    }
    Lanes<T>* tape(size_t i, size_t size) { return room(tapes, i, size); }
};

// What a thread works in. Memory is kept for the next solve.
template <class T> struct Room {
    std::vector<Lanes<T>> walk, cotangents, stages, tape;
    Record<T> record;  // of a solve that nothing is pulled back through
};

// Gives the lanes that were not accepted, in all stages, what they had in the first.
template <class T> void hold_lanes(Lanes<T>* tape, int n, int n_stages, const Mask<T>& accepted) {
    for (int i = 1; i < n_stages; ++i)
        for (int u = 0; u < n; ++u)
            tape[size_t(i) * n + u] = select(accepted, tape[size_t(i) * n + u], tape[u]);
}

// The field itself.
template <class T> class Forward {
  public:
    Forward(
        const Network<T>& network, int n_stages, Record<T>& record, bool keep,
        std::vector<Lanes<T>>& room)
        : dims(network.n_dims), room(room), network_(network), n_stages_(n_stages), record_(record),
          keep_(keep) {
        tape_ = record.tape(0, size());
    }

    const int dims;
    std::vector<Lanes<T>>& room;

    Lanes<T>* argument(int stage, int d) { return units(stage) + d; }
    void set_time(int stage, const Lanes<T>& t) {
        if (network_.time_dependent) units(stage)[dims] = t;
    }
    void evaluate(int stage, Lanes<T>* k) { network_.evaluate(units(stage), k); }
    void hold(const Mask<T>& accepted) { hold_lanes(tape_, network_.n_units, n_stages_, accepted); }
    void advance(bool fsal) {
        const Lanes<T>* last = units(n_stages_ - 1);
        if (keep_) tape_ = record_.tape(++n_, size());
        if (fsal) std::copy_n(last, network_.n_units, tape_);
    }

  private:
    const Network<T>& network_;
    const int n_stages_;
    Record<T>& record_;
    const bool keep_;
    size_t n_ = 0;
    Lanes<T>* tape_;

    size_t size() const { return size_t(n_stages_) * network_.n_units; }
    Lanes<T>* units(int stage) { return tape_ + size_t(stage) * network_.n_units; }
};

// The state z together with its cotangent a: (f, -(a + p f) df/dz), where p is the pull of the
// kinetic energy, see eager/continuous.py. Without a pull the cotangent's argument lies where
// the pullback wants it.
template <class T> class Adjoint {
  public:
    Adjoint(
        const Network<T>& network, int n_stages, bool pulled, std::vector<Lanes<T>>& tape,
        std::vector<Lanes<T>>& room)
        : dims(2 * network.n_dims), room(room), network_(network), n_stages_(n_stages),
          pulled_(pulled) {
        const int n = network.n_dims;
        const int m = network.n_cotangents;
        const size_t size = size_t(n_stages) * (network.n_units + m + (pulled ? n : 0));
        if (tape.size() < size) tape.resize(size);
        units = tape.data();
        cotangents = units + size_t(n_stages) * network.n_units;
        arguments_ = pulled ? cotangents + size_t(n_stages) * m : cotangents + m - n;
        stride_ = pulled ? n : m;
    }

    const int dims;
    std::vector<Lanes<T>>& room;
    Lanes<T>* units;       // (stages, n_units)
    Lanes<T>* cotangents;  // (stages, n_cotangents)
    Lanes<T> pull;

    Lanes<T>* argument(int stage, int d) {
        const int n = network_.n_dims;
        if (d < n) return units + size_t(stage) * network_.n_units + d;
        return arguments_ + size_t(stage) * stride_ + d - n;
    }
    void set_time(int stage, const Lanes<T>& t) {
        if (network_.time_dependent) units[size_t(stage) * network_.n_units + network_.n_dims] = t;
    }
    void evaluate(int stage, Lanes<T>* k) {
        Lanes<T>* at = units + size_t(stage) * network_.n_units;
        network_.evaluate(at, k);
        const int n = network_.n_dims;
        const int m = network_.n_cotangents;
        if (pulled_) {
            Lanes<T>* v = cotangents + size_t(stage + 1) * m - n;
            for (int d = 0; d < n; ++d) v[d] = *argument(stage, n + d) + pull * k[d];
        }
        Lanes<T>* slope = k + n;
        network_.pull_back(at, cotangents + size_t(stage) * m, slope);
        for (int d = 0; d < n; ++d) slope[d] = Lanes<T>::all(0) - slope[d];
    }
    void hold(const Mask<T>& accepted) {
        hold_lanes(units, network_.n_units, n_stages_, accepted);
        hold_lanes(cotangents, network_.n_cotangents, n_stages_, accepted);
    }
    void advance(bool fsal) {
        if (!fsal) return;
        const int n = network_.n_units;
        const int m = network_.n_cotangents;
        std::copy_n(units + size_t(n_stages_ - 1) * n, n, units);
        std::copy_n(cotangents + size_t(n_stages_ - 1) * m, m, cotangents);
    }

  private:
    const Network<T>& network_;
    const int n_stages_;
    const bool pulled_;
    Lanes<T>* arguments_;  // those of the cotangents, (stages, n), so many lanes apart:
    size_t stride_;
};

}  // namespace sknode::SKNODE_ISA

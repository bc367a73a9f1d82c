// What a walk moves a block of rows through: the field itself, or the field with its adjoint.
#pragma once

#include <algorithm>
#include <vector>

#include "integrate.hpp"
#include "network.hpp"

namespace sknode::SKNODE_ISA {

// The steps of a block with their tapes. Memory is kept for the next solve.
template <class T> struct Record {
    std::vector<std::vector<Lanes<T>>> tapes;
    std::vector<Step<T>> steps;

    Lanes<T>* tape(size_t i, size_t size) {
        if (i >= tapes.size()) tapes.emplace_back();
        if (tapes[i].size() < size) tapes[i].resize(size);
        return tapes[i].data();
    }
};

// Gives the lanes that were not accepted, in all stages, what they had in the first.
template <class T>
void hold_lanes(Lanes<T>* tape, int n, int n_stages, const Mask<T>& accepted) {
    for (int i = 1; i < n_stages; ++i)
        for (int u = 0; u < n; ++u)
            tape[size_t(i) * n + u] = select(accepted, tape[size_t(i) * n + u], tape[u]);
}

// The field itself.
template <class T> class Forward {
  public:
    Forward(const Network<T>& network, int n_stages, Record<T>& record, bool keep,
            std::vector<Lanes<T>>& room)
        : dims(network.n_dims), room(room), network_(network), n_stages_(n_stages),
          record_(record), keep_(keep) {
        tape_ = record.tape(0, size());
    }

    const int dims;
    std::vector<Lanes<T>>& room;

    Lanes<T>* argument(int stage, int d) { return units(stage) + d; }
    void set_time(int stage, const Lanes<T>& t) {
        if (network_.time_dependent) units(stage)[dims] = t;
    }
    void evaluate(int stage, Lanes<T>* k) { network_.evaluate(units(stage), k); }
    void hold(const Mask<T>& accepted) {
        hold_lanes(tape_, network_.n_units, n_stages_, accepted);
    }
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

// The state z together with its cotangent a: (f, -a df/dz). The cotangent's argument lies where
// the pullback wants it.
template <class T> class Adjoint {
  public:
    Adjoint(const Network<T>& network, int n_stages, std::vector<Lanes<T>>& tape,
            std::vector<Lanes<T>>& room)
        : dims(2 * network.n_dims), room(room), network_(network), n_stages_(n_stages) {
        const size_t size = size_t(n_stages) * (network.n_units + network.n_cotangents);
        if (tape.size() < size) tape.resize(size);
        units = tape.data();
        cotangents = units + size_t(n_stages) * network.n_units;
    }

    const int dims;
    std::vector<Lanes<T>>& room;
    Lanes<T>*units, *cotangents;  // (stages, n_units), (stages, n_cotangents)

    Lanes<T>* argument(int stage, int d) {
        const int n = network_.n_dims;
        if (d < n) return units + size_t(stage) * network_.n_units + d;
        return cotangents + size_t(stage + 1) * network_.n_cotangents - dims + d;
    }
    void set_time(int stage, const Lanes<T>& t) {
        if (network_.time_dependent)
            units[size_t(stage) * network_.n_units + network_.n_dims] = t;
    }
    void evaluate(int stage, Lanes<T>* k) {
        Lanes<T>* at = units + size_t(stage) * network_.n_units;
        network_.evaluate(at, k);
        Lanes<T>* pulled = k + network_.n_dims;
        network_.pull_back(at, cotangents + size_t(stage) * network_.n_cotangents, pulled);
        for (int d = 0; d < network_.n_dims; ++d) pulled[d] = Lanes<T>::all(0) - pulled[d];
    }
    void hold(const Mask<T>& accepted) {
        hold_lanes(units, network_.n_units, n_stages_, accepted);
        hold_lanes(cotangents, network_.n_cotangents, n_stages_, accepted);
    }
    void advance(bool fsal) {
        if (!fsal) return;
        const int n = network_.n_units, m = network_.n_cotangents;
        std::copy_n(units + size_t(n_stages_ - 1) * n, n, units);
        std::copy_n(cotangents + size_t(n_stages_ - 1) * m, m, cotangents);
    }

  private:
    const Network<T>& network_;
    const int n_stages_;
};

}  // namespace sknode::SKNODE_ISA

// A solve of one block of rows from start to end, while all it touches is in cache.
#pragma once

#include <vector>

#include "batch.hpp"
#include "integrate.hpp"
#include "systems.hpp"

namespace sknode::SKNODE_ISA {

template <class T> struct Problem {
    const T* z0;  // (rows, n)
    int n_rows;
    const std::vector<double>& times;
    const std::vector<double>& nodes;
    Control<T> control;
    bool record;  // whether a pullback may follow
};

// Where a solution is written to.
template <class T> struct Solution {
    T* z;             // (times - 1, rows, n), the states at all times but the first
    int64_t* counts;  // (2, rows), how many steps of each row were accepted and rejected
    T* energy;        // (rows,), the kinetic energy; null if it is not wanted
};

// The integral of mean(f^2) |dt| over a step, by the method's own quadrature. The stages stay at
// place `place` of the record.
template <class T>
Lanes<T> energy_of_step(
    const Block<T>& block, const Step<T>& step, const Lanes<T>* stages, Record<T>& record,
    size_t place) {
    const Tableau<T>& tableau = block.tableau;
    const int n = block.network.n_dims;
    Lanes<T>* kept = Record<T>::room(record.stages, place, size_t(tableau.n_stages) * n);
    Lanes<T> sum = Lanes<T>::all(0);
    for (int i = 0; i < tableau.n_stages; ++i, stages += n, kept += n) {
        if (tableau.b[i] == 0) continue;
        Lanes<T> squares = Lanes<T>::all(0);
        for (int d = 0; d < n; ++d) {
            // A trial step may have overflowed.
            kept[d] = map(stages[d], step.h, [](auto s, auto h) {
                const auto zero = decltype(s){};
                return h == 0 ? zero : s;
            });
            squares = squares + kept[d] * kept[d];
        }
        sum = add(sum, tableau.b[i], squares);
    }
    return map(sum, step.h, [n](auto s, auto h) {
        const auto length = T(n) * absolute<T>(h);
        return s / (h == 0 ? decltype(h){} + T(1) : length);
    });
}

// Writes the states at the times between that lie within a step from x.
template <class T>
void read_off(
    const Block<T>& block, const Step<T>& step, const Lanes<T>* x, const Lanes<T>* stages, T* z) {
    const Tableau<T>& tableau = block.tableau;
    const int n = block.network.n_dims;
    Mask<T> mask{};
    Lanes<T> theta{};
    const auto [first, end] = block.between.within(step);
    for (size_t j = first; j < end; ++j) {
        if (!block.between.inside(j, step, mask, theta)) continue;
        T* table = z + j * block.table_size;
        for (int d = 0; d < n; ++d) {
            Lanes<T> sum = x[d];
            for (int i = 0; i < tableau.n_stages; ++i)
                sum = sum + tableau.dense(i, theta) * stages[size_t(i) * n + d];
            for (int i = 0; i < block.rows; ++i)
                if (mask[i]) table[size_t(block.first + i) * n + d] = sum[i];
        }
    }
}

template <class T, class Interrupted>
Outcome<T> solve_block(
    const Block<T>& block, const Problem<T>& problem, const Solution<T>& solution,
    Record<T>& record, Room<T>& room, Interrupted interrupted) {
    const bool keep = problem.record;
    Forward<T> system(block.network, block.tableau.n_stages, record, keep, room.walk);
    Walk<T, Forward<T>> walk(system, block.tableau, problem.control);
    block.gather(problem.z0, walk.x);
    record.steps.clear();
    size_t n = 0;
    Lanes<T> energy = Lanes<T>::all(0);
    const Outcome<T> outcome = walk.go(
        problem.nodes, block.used(),
        [&](const Step<T>& step) {
            read_off(block, step, walk.x, walk.stages, solution.z);
            if (solution.energy)
                energy = energy + energy_of_step(block, step, walk.stages, record, keep ? n++ : 0);
            if (keep) record.steps.push_back(step);
        },
        interrupted);
    block.scatter(walk.x, solution.z + block.between.size() * block.table_size);
    if (solution.energy) block.scatter_column(energy, solution.energy);
    return outcome;
}

}  // namespace sknode::SKNODE_ISA

// The continuous adjoint of one block of rows: the adjoint ODE of eager/continuous.py, backwards.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "batch.hpp"
#include "integrate.hpp"
#include "reverse.hpp"
#include "systems.hpp"

namespace sknode::SKNODE_ISA {

template <class T> struct AdjointProblem {
    const T* z;            // (times - 1, rows, n), the states
    const T* pull_square;  // (rows,), the mean square of the energy's pull along the way, or null
    int n_rows;
    const std::vector<std::vector<double>>& stretches;  // the nodes of each, the last stretch first
    Control<T> control;
};

// The sizes of the rows' cotangents a (n,). Divided by them, all are of size one.
template <class T> Lanes<T> sizes(const Block<T>& block, const Lanes<T>* a, const T* pull_square) {
    const int n = block.network.n_dims;
    Lanes<T> size = Lanes<T>::all(0);
    for (int d = 0; d < n; ++d) size = size + a[d] * a[d];
    for (int lane = 0; lane < Lanes<T>::count; ++lane) {
        const bool pulled = pull_square && lane < block.rows;
        const T floor = pulled ? pull_square[block.first + lane] : T(0);
        const T norm = std::sqrt(size[lane] / T(n) + floor);
        size.set(lane, norm == 0 ? T(1) : norm);
    }
    return size;
}

// Adds the parameters' part of a step, -sum of b_i h a df/dtheta, to `sums`.
template <class T>
void add_quadrature(
    const Block<T>& block, const Adjoint<T>& system, const Lanes<T>& h, Room<T>& room, T* sums) {
    const Network<T>& network = block.network;
    const int m = network.n_cotangents;
    const int n_stages = block.tableau.stages_of_a_step();
    room.cotangents.resize(size_t(n_stages) * m);
    Lanes<T>* weighted = room.cotangents.data();
    for (int i = 0; i < n_stages; ++i) {
        const Lanes<T> weight = Lanes<T>::all(-block.tableau.b[i]) * h;
        const Lanes<T>* v = system.cotangents + size_t(i) * m;
        for (int u = 0; u < m; ++u) weighted[size_t(i) * m + u] = v[u] * weight;
    }
    network.accumulate(system.units, network.n_units, weighted, m, n_stages, sums);
}

// Adds the parameters' gradient to `sums`. The outcomes of a block's stretches lie `n_blocks`
// apart.
template <class T, class Interrupted>
void solve_adjoint_block(
    const Block<T>& block, const AdjointProblem<T>& problem, const Cotangents<T>& given,
    Outcome<T>* outcomes, int n_blocks, Room<T>& room, T* sums, Interrupted interrupted) {
    const int n = block.network.n_dims;
    const size_t n_stretches = problem.stretches.size();
    Adjoint<T> system(block.network, block.tableau.n_stages, given.pull, room.tape, room.walk);
    Walk<T, Adjoint<T>> walk(system, block.tableau, problem.control);
    room.stages.resize(2 * n);
    Lanes<T>* a = room.stages.data();
    Lanes<T>* g = a + n;
    std::fill(a, a + n, Lanes<T>::all(0));
    for (size_t i = 0; i < n_stretches; ++i) {
        const size_t offset = (n_stretches - 1 - i) * block.table_size;
        block.gather(problem.z + offset, walk.x);
        block.gather(given.g + offset, g);
        for (int d = 0; d < n; ++d) a[d] = a[d] + g[d];
        const Lanes<T> size = sizes(block, a, problem.pull_square);
        if (given.pull) system.pull = block.gather_column(given.pull) / size;
        for (int d = 0; d < n; ++d) walk.x[n + d] = a[d] / size;
        Outcome<T>& outcome = outcomes[i * n_blocks];
        outcome = walk.go(
            problem.stretches[i], block.used(),
            [&](const Step<T>& step) { add_quadrature(block, system, step.h * size, room, sums); },
            interrupted);
        if (outcome.ending != Ending::arrived) return;
        for (int d = 0; d < n; ++d) a[d] = walk.x[n + d] * size;
    }
    if (given.start) block.scatter(a, given.start);
}

}  // namespace sknode::SKNODE_ISA

// How a batch ended, from how its blocks did.
#pragma once

#include <algorithm>
#include <cmath>

#include "batch.hpp"
#include "integrate.hpp"

namespace sknode::SKNODE_ISA {

struct Result {
    Ending ending = Ending::arrived;
    int n_steps = 0, n_evaluations = 0, n_failed = 0;
    double first_step = 0, left = 0;
    int stretch = 0;  // where the continuous adjoint failed
};

template <class T> void add_failure(const Outcome<T>& outcome, int rows, Result& result) {
    const bool first = result.ending == Ending::arrived;
    // Whether an overflow happens is seen at the end of the grid only, in all blocks alike.
    if (outcome.ending != Ending::overflow && !first) {
        if (outcome.n_steps > result.n_steps) return;
        if (outcome.n_steps < result.n_steps) {
            result.n_failed = 0;
            result.left = 0;
        }
    }
    result.n_steps = first ? outcome.n_steps : std::min(result.n_steps, outcome.n_steps);
    result.ending = outcome.ending;
    for (int lane = 0; lane < rows; ++lane) {
        if (!outcome.failed[lane]) continue;
        ++result.n_failed;
        const double left = double(outcome.left[lane]);
        if (std::abs(left) > std::abs(result.left)) result.left = left;
    }
}

// Sums up the outcomes of all blocks. The batch stops where its first row fails.
template <class T>
Result summary(const Outcome<T>* outcomes, const Batch<T>& batch, bool interrupted) {
    Result result;
    bool any = false;
    for (int i = 0; i < batch.n_blocks(); ++i) {
        const Outcome<T>& outcome = outcomes[i];
        const bool failed = outcome.ending != Ending::arrived;
        result.n_evaluations = std::max(result.n_evaluations, outcome.n_evaluations);
        if (!failed && result.ending == Ending::arrived)
            result.n_steps = std::max(result.n_steps, outcome.n_steps);
        const int rows = batch.block(i).rows;
        for (int lane = 0; lane < rows && outcome.n_steps > 0; ++lane) {
            const double proposal = std::abs(double(outcome.first_proposal[lane]));
            result.first_step = any ? std::min(result.first_step, proposal) : proposal;
            any = true;
        }
        if (failed) add_failure(outcome, rows, result);
    }
    if (interrupted) result.ending = Ending::interrupted;
    return result;
}

}  // namespace sknode::SKNODE_ISA

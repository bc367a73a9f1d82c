// A batch, solved and pulled back: its blocks of rows are shared out over threads.
#pragma once

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "batch.hpp"
#include "continuous.hpp"
#include "result.hpp"
#include "reverse.hpp"
#include "solve.hpp"
#include "threads.hpp"

namespace sknode::SKNODE_ISA {

// Blocks are summed up in so many groups, each in order, whatever the number of threads: the
// gradient is then the same to the last bit.
constexpr int MOST_GROUPS = 32;
// Below so many multiplications an evaluation, a thread costs more than it gains.
constexpr double LEAST_WORK_OF_A_THREAD = 5e5;

template <class T> class Solver {
  public:
    Solver(
        int n_members, std::vector<int> sizes, Activation activation, bool time_dependent,
        Tableau<T> tableau)
        : batch_{{}, std::move(tableau), {}} {
        batch_.networks.assign(n_members, Network<T>(std::move(sizes), activation, time_dependent));
    }

    // Takes each layer's weights (members, n_out, n_in) and biases (members, n_out).
    void load(const std::vector<const T*>& parameters) {
        for (size_t i = 0; i < batch_.networks.size(); ++i) batch_.networks[i].load(parameters, i);
    }

    Result solve(
        const Problem<T>& problem, const Solution<T>& solution, int n_threads,
        const std::function<bool()>& poll) {
        batch_.n_rows = problem.n_rows;
        batch_.between.find(problem.times);
        const int n_blocks = batch_.n_blocks();
        outcomes_.resize(n_blocks);
        if (problem.record && int(records_.size()) < n_blocks) records_.resize(n_blocks);
        const bool stopped =
            for_each_task(n_blocks, n_threads, poll, [&](int i, Room<T>& room, auto interrupted) {
                Record<T>& record = problem.record ? records_[i] : room.record;
                outcomes_[i] =
                    solve_block(batch_.block(i), problem, solution, record, room, interrupted);
            });
        for (int i = 0; i < n_blocks; ++i) {
            const Block<T> block = batch_.block(i);
            int64_t* counts = solution.counts + block.first;
            std::copy_n(outcomes_[i].accepted, block.rows, counts);
            std::copy_n(outcomes_[i].rejected, block.rows, counts + batch_.n_rows);
        }
        return summary(outcomes_.data(), batch_, stopped);
    }

    // Pulls back through the steps of the last solve, which has recorded them. The gradient of each
    // layer's weights and biases goes to `gradient`.
    Result pull_back(
        const Cotangents<T>& given, const std::vector<T*>& gradient, int n_threads,
        const std::function<bool()>& poll) {
        const bool stopped =
            sum_over_blocks(gradient, n_threads, poll, [&](int i, Room<T>& room, T* sums, auto) {
                const Block<T> block = batch_.block(i);
                Reverse<T>(block, records_[i], room).sweep(given, sums);
            });
        Result result;
        if (stopped) result.ending = Ending::interrupted;
        return result;
    }

    // Solves the adjoint ODE backwards through all stretches. The result tells where it failed, if
    // it did, and the evaluations of all stretches.
    Result pull_back_continuously(
        const AdjointProblem<T>& problem, const Cotangents<T>& given,
        const std::vector<T*>& gradient, int n_threads, const std::function<bool()>& poll) {
        batch_.n_rows = problem.n_rows;
        const int n_blocks = batch_.n_blocks();
        const int n_stretches = int(problem.stretches.size());
        outcomes_.assign(size_t(n_blocks) * n_stretches, {});
        const bool stopped = sum_over_blocks(
            gradient, n_threads, poll, [&](int i, Room<T>& room, T* sums, auto interrupted) {
                solve_adjoint_block(
                    batch_.block(i), problem, given, outcomes_.data() + i, n_blocks, room, sums,
                    interrupted);
            });
        Result total;
        for (int i = 0; i < n_stretches; ++i) {
            Result stretch = summary(outcomes_.data() + size_t(i) * n_blocks, batch_, stopped);
            total.n_evaluations += stretch.n_evaluations;
            total.n_evaluations += stretch.n_steps * batch_.tableau.stages_of_a_step();
            if (stretch.ending == Ending::arrived) continue;
            stretch.n_evaluations = total.n_evaluations;
            stretch.stretch = i;
            return stretch;
        }
        return total;
    }

  private:
    Batch<T> batch_;
    std::vector<Record<T>> records_;    // one for each block
    std::vector<Outcome<T>> outcomes_;  // (stretches, blocks)
    std::vector<Room<T>> rooms_;        // one for each thread
    std::vector<T> sums_;               // (members, groups, parameters)

    // Calls f(block, room, sums, interrupted) for all blocks, and writes each member's total of the
    // sums to `gradient`. Returns whether it was interrupted.
    template <class F>
    bool sum_over_blocks(
        const std::vector<T*>& gradient, int n_threads, const std::function<bool()>& poll, F f) {
        const int n_members = batch_.n_members();
        const int n_blocks = batch_.blocks_of_a_member();
        const int n_groups = std::min(n_blocks, MOST_GROUPS);
        const size_t n = batch_.network().n_parameters;
        sums_.assign(n * n_groups * n_members, T(0));
        auto sum_group = [&](int i, Room<T>& room, auto interrupted) {
            const int before = i / n_groups * n_blocks;
            const int group = i % n_groups;
            const int first = group * n_blocks / n_groups;
            const int end = (group + 1) * n_blocks / n_groups;
            for (int block = first; block < end && !interrupted(); ++block)
                f(before + block, room, sums_.data() + n * i, interrupted);
        };
        const bool stopped = for_each_task(n_groups * n_members, n_threads, poll, sum_group);
        for (int member = 0; member < n_members; ++member) {
            T* total = sums_.data() + n * n_groups * member;
            for (int group = 1; group < n_groups; ++group)
                for (size_t i = 0; i < n; ++i) total[i] += total[n * group + i];
            batch_.network().split(total, gradient, member);
        }
        return stopped;
    }

    // Calls f(task, room, interrupted) for all tasks, on as many threads as it pays for. Returns
    // whether it was interrupted.
    template <class F>
    bool for_each_task(int n_tasks, int n_threads, const std::function<bool()>& poll, F f) {
        const double work = double(batch_.n_rows) * double(batch_.network().n_parameters);
        // A quotient beyond the largest int must not become one.
        const int worthwhile = int(std::min(work / LEAST_WORK_OF_A_THREAD, double(n_tasks)));
        n_threads = std::max(1, std::min(n_threads, worthwhile));
        if (int(rooms_.size()) < n_threads) rooms_.resize(n_threads);
        return for_each(n_tasks, n_threads, poll, [&](int task, int thread, auto interrupted) {
            f(task, rooms_[thread], interrupted);
        });
    }
};

}  // namespace sknode::SKNODE_ISA

// A batch, cut into blocks of rows: solved from start to end while all it touches is in cache,
// and pulled back. Blocks do not depend on each other, and are shared out over threads.
#pragma once

#include <algorithm>
#include <functional>
#include <utility>

#include "systems.hpp"
#include "threads.hpp"

namespace sknode::SKNODE_ISA {

// Blocks are summed up in so many groups, each in order, whatever the number of threads: the
// gradient is then the same to the last bit.
constexpr int MOST_GROUPS = 32;
// Below so many multiplications an evaluation, a thread costs more than it gains.
constexpr double LEAST_WORK_OF_A_THREAD = 5e5;

// How a batch ended.
struct Result {
    Ending ending = Ending::arrived;
    int n_steps = 0, n_evaluations = 0, n_failed = 0;
    double first_step = 0, left = 0;
    int stretch = 0;  // of the continuous adjoint, where it failed
};

// Rows that move together: as many as a block has lanes, or the rest of a member's.
struct Block {
    int member, first, rows;
};

// An equal share of the rows belongs to each member, whose networks are of one shape.
template <class T> class Solver {
  public:
    Solver(
        int n_members, std::vector<int> sizes, Activation activation, bool time_dependent,
        Tableau<T> tableau)
        : networks_(n_members, Network<T>(std::move(sizes), activation, time_dependent)),
          network_(networks_[0]), tableau_(std::move(tableau)) {}

    // Takes each layer's weights (members, n_out, n_in) and biases (members, n_out).
    void load(const std::vector<const T*>& parameters) {
        for (size_t i = 0; i < networks_.size(); ++i) networks_[i].load(parameters, i);
    }

    // Solves from z0 (rows, n) through the nodes, and writes the states at all times but the
    // first into `z` (times - 1, rows, n), and how many steps of each row were accepted and
    // rejected into `counts` (2, rows), and unless null the kinetic energy into `energy` (rows,).
    // With `record`, `pull_back` may follow.
    Result solve(
        const T* z0, int n_rows, const std::vector<double>& times, const std::vector<double>& nodes,
        const Control<T>& control, bool record, T* z, int64_t* counts, T* energy, int n_threads,
        std::function<bool()> poll) {
        n_rows_ = n_rows;
        find_times_between(times);
        const int n_blocks = blocks();
        outcomes_.resize(n_blocks);
        if (record && int(records_.size()) < n_blocks) records_.resize(n_blocks);
        for_each_task(n_blocks, n_threads, poll, [&](int i, Room& room, auto interrupted) {
            Record<T>& kept = record ? records_[i] : room.record;
            outcomes_[i] = solve_block(
                block(i), z0, nodes, control, record, kept, room, z, energy, interrupted);
        });
        for (int i = 0; i < n_blocks; ++i) {
            const Block at = block(i);
            std::copy_n(outcomes_[i].accepted, at.rows, counts + at.first);
            std::copy_n(outcomes_[i].rejected, at.rows, counts + n_rows + at.first);
        }
        return summary();
    }

    // Pulls cotangents g (times - 1, rows, n) of the states back to the start, into `start`
    // (rows, n) unless null, and writes the parameters' gradient. Null unless the solve had an
    // energy: its `pull` (rows,).
    Result pull_back(
        const T* g, const T* pull, T* start, const std::vector<T*>& gradient, int n_threads,
        std::function<bool()> poll) {
        summed_over_blocks(gradient, n_threads, poll, [&](int i, Room& room, T* sums, auto) {
            pull_back_block(block(i), records_[i], g, pull, start, room, sums);
        });
        Result result;
        if (interrupted_) result.ending = Ending::interrupted;
        return result;
    }

    // Solves the adjoint ODE backwards through stretches, the last first: from `z` (times - 1,
    // rows, n), with cotangents g of the same shape and, unless null, the `pull` (rows,) of the
    // energy and its mean square along the way. Returns how the worst block ended; the result's
    // n_evaluations are all of them.
    Result pull_back_continuously(
        const T* z, const T* g, const T* pull, const T* pull_square, int n_rows,
        const std::vector<std::vector<double>>& stretches, const Control<T>& control, T* start,
        const std::vector<T*>& gradient, int n_threads, std::function<bool()> poll) {
        n_rows_ = n_rows;
        const int n_blocks = blocks(), n_stretches = int(stretches.size());
        outcomes_.assign(size_t(n_blocks) * n_stretches, {});
        summed_over_blocks(
            gradient, n_threads, poll, [&](int i, Room& room, T* sums, auto interrupted) {
                continuous_block(
                    block(i), outcomes_.data() + i, z, g, pull, pull_square, stretches, control,
                    room, start, sums, interrupted);
            });
        Result total;
        for (int i = 0; i < n_stretches; ++i) {
            const Result stretch = summary(i * n_blocks, n_blocks);
            total.n_evaluations += stretch.n_evaluations + stretch.n_steps * stages_of_a_step();
            if (stretch.ending == Ending::arrived) continue;
            const int n = total.n_evaluations;
            total = stretch;
            total.n_evaluations = n;
            total.stretch = i;
            break;
        }
        return total;
    }

  private:
    static constexpr int LANES = Lanes<T>::count;

    // What a thread works in.
    struct Room {
        std::vector<Lanes<T>> walk, cotangents, stages, tape;
        Record<T> record;
    };

    std::vector<Network<T>> networks_;
    const Network<T>& network_;  // the first, for what they have in common
    Tableau<T> tableau_;
    int n_rows_ = 0;
    std::vector<T> between_;  // the time left to go at the times between the first and the last
    std::vector<Record<T>> records_;
    std::vector<Outcome<T>> outcomes_;
    std::vector<Room> rooms_;
    std::vector<T> sums_;

    int rows_of_a_member() const { return n_rows_ / int(networks_.size()); }
    int blocks_of_a_member() const { return (rows_of_a_member() + LANES - 1) / LANES; }
    int blocks() const { return int(networks_.size()) * blocks_of_a_member(); }
    Block block(int i) const {
        const int member = i / blocks_of_a_member();
        const int before = i % blocks_of_a_member() * LANES;
        return {
            member, member * rows_of_a_member() + before,
            std::min(LANES, rows_of_a_member() - before)};
    }
    int stages_of_a_step() const { return tableau_.n_stages - tableau_.fsal; }

    void find_times_between(const std::vector<double>& times) {
        between_.clear();
        const T first = T(times.back() - times.front());
        for (size_t i = 1; i + 1 < times.size(); ++i) {
            const T left = T(times.back() - times[i]);
            // A time so near to the first that rounding makes them one belongs to the first step.
            between_.push_back(
                std::abs(left) < std::abs(first) ? left : std::nextafter(first, T(0)));
        }
    }

    static Mask<T> used(const Block& block) {
        Mask<T> mask{};
        for (int i = 0; i < block.rows; ++i) mask.set(i, true);
        return mask;
    }

    // Rows of a table (rows, n) as lanes, zero where there are none, and back.
    void gather(const T* table, const Block& block, Lanes<T>* lanes) const {
        const int n = network_.n_dims;
        for (int i = 0; i < LANES; ++i)
            for (int d = 0; d < n; ++d)
                lanes[d].set(i, i < block.rows ? table[size_t(block.first + i) * n + d] : T(0));
    }
    void scatter(const Lanes<T>* lanes, const Block& block, T* table) const {
        const int n = network_.n_dims;
        for (int i = 0; i < block.rows; ++i)
            for (int d = 0; d < n; ++d) table[size_t(block.first + i) * n + d] = lanes[d][i];
    }
    // The same for a column (rows,).
    static Lanes<T> gather_one(const T* column, const Block& block) {
        Lanes<T> lanes = Lanes<T>::all(0);
        for (int i = 0; i < block.rows; ++i) lanes.set(i, column[block.first + i]);
        return lanes;
    }
    static void scatter_one(const Lanes<T>& lanes, const Block& block, T* column) {
        for (int i = 0; i < block.rows; ++i) column[block.first + i] = lanes[i];
    }
    size_t table_size() const { return size_t(n_rows_) * network_.n_dims; }

    template <class Interrupted>
    Outcome<T> solve_block(
        const Block& block, const T* z0, const std::vector<double>& nodes,
        const Control<T>& control, bool keep, Record<T>& record, Room& room, T* z, T* energy,
        Interrupted interrupted) {
        const Network<T>& network = networks_[block.member];
        Forward<T> system(network, tableau_.n_stages, record, keep, room.walk);
        Walk<T, Forward<T>> walk(system, tableau_, control);
        gather(z0, block, walk.x);
        record.steps.clear();
        size_t n = 0;
        Lanes<T> sum = Lanes<T>::all(0);
        const Outcome<T> outcome = walk.go(
            nodes, used(block),
            [&](const Step<T>& step) {
                read_off(step, walk.x, walk.stages, block, z);
                if (energy) sum = sum + energy_of_step(step, walk.stages, record, keep ? n++ : 0);
                if (keep) record.steps.push_back(step);
            },
            interrupted);
        scatter(walk.x, block, z + between_.size() * table_size());
        if (energy) scatter_one(sum, block, energy);
        return outcome;
    }

    // The integral of mean(f^2) |dt| over a step, by the method's own quadrature. Leaves the stages
    // in the record.
    Lanes<T> energy_of_step(
        const Step<T>& step, const Lanes<T>* stages, Record<T>& record, size_t place) const {
        const int n = network_.n_dims;
        Lanes<T>* kept = Record<T>::room(record.stages, place, size_t(tableau_.n_stages) * n);
        Lanes<T> sum = Lanes<T>::all(0);
        for (int i = 0; i < tableau_.n_stages; ++i, stages += n, kept += n) {
            if (tableau_.b[i] == 0) continue;
            Lanes<T> squares = Lanes<T>::all(0);
            for (int d = 0; d < n; ++d) {
                // A trial step may have overflowed.
                kept[d] = map(
                    stages[d], step.h, [](auto s, auto h) { return h == 0 ? decltype(s){} : s; });
                squares = squares + kept[d] * kept[d];
            }
            sum = add(sum, tableau_.b[i], squares);
        }
        return map(sum, step.h, [n](auto s, auto h) {
            const auto length = T(n) * absolute<T>(h);
            return s / (h == 0 ? decltype(h){} + T(1) : length);
        });
    }

    // Whether a time lies within a row's step, and where. Decided on the time left at the step's
    // ends, which neighbouring steps share to the last bit.
    static bool inside(const Step<T>& step, T left, int lane) {
        return std::abs(step.after[lane]) <= std::abs(left) &&
               std::abs(left) < std::abs(step.before[lane]);
    }

    // The times between, which are in order, that may lie within the step of a row: from the first
    // of the two on, up to and without the second.
    std::pair<size_t, size_t> times_within(const Step<T>& step) const {
        if (between_.empty()) return {0, 0};
        T first = 0, last = std::numeric_limits<T>::infinity();
        for (int i = 0; i < LANES; ++i) {
            if (step.before[i] == step.after[i]) continue;
            first = std::max(first, std::abs(step.before[i]));
            last = std::min(last, std::abs(step.after[i]));
        }
        const auto begin = between_.begin();
        const auto later_than = [&](T bound) {
            return size_t(
                std::partition_point(
                    begin, between_.end(), [bound](T left) { return std::abs(left) >= bound; }) -
                begin);
        };
        return {later_than(first), later_than(std::min(first, last))};
    }

    bool any_inside(const Step<T>& step, T left, Mask<T>& mask, Lanes<T>& theta) const {
        bool any = false;
        for (int i = 0; i < LANES; ++i) {
            const bool in = inside(step, left, i);
            mask.set(i, in);
            theta.set(i, in ? (step.before[i] - left) / step.h[i] : T(0));
            any = any || in;
        }
        return any;
    }

    void read_off(
        const Step<T>& step, const Lanes<T>* x, const Lanes<T>* stages, const Block& block,
        T* z) const {
        const int n = network_.n_dims;
        Mask<T> mask{};
        Lanes<T> theta{};
        const auto [first, end] = times_within(step);
        for (size_t j = first; j < end; ++j) {
            if (!any_inside(step, between_[j], mask, theta)) continue;
            for (int d = 0; d < n; ++d) {
                Lanes<T> sum = x[d];
                for (int i = 0; i < tableau_.n_stages; ++i)
                    sum = sum + tableau_.dense(i, theta) * stages[size_t(i) * n + d];
                for (int i = 0; i < block.rows; ++i)
                    if (mask[i]) z[j * table_size() + size_t(block.first + i) * n + d] = sum[i];
            }
        }
    }

    // The reverse sweep of sknode/ode/adjoint.py.
    void pull_back_block(
        const Block& block, const Record<T>& record, const T* g, const T* pull, T* start,
        Room& room, T* sums) {
        const Network<T>& network = networks_[block.member];
        const int n = network_.n_dims, m = network_.n_cotangents;
        const bool with_last = !(tableau_.fsal && between_.empty());
        const int n_stages = tableau_.n_stages - !with_last;
        room.cotangents.resize(size_t(n_stages) * m);
        room.stages.resize(size_t(n_stages + 2) * n);
        Lanes<T>*lambda = room.stages.data(), *mu = lambda + n, *g_lanes = mu + n_stages * n;
        gather(g + between_.size() * table_size(), block, lambda);
        const Lanes<T> pull_lanes = pull ? gather_one(pull, block) : Lanes<T>::all(0);
        for (size_t s = record.steps.size(); s-- > 0;) {
            const Step<T>& step = record.steps[s];
            const Lanes<T>* tape = record.tapes[s].data();
            Lanes<T>* cotangents = room.cotangents.data();
            for (int i = 0; i < n_stages; ++i)
                for (int d = 0; d < n; ++d)
                    cotangents[size_t(i + 1) * m - n + d] =
                        Lanes<T>::all(tableau_.b[i]) * lambda[d];
            read_off_back(step, block, g, n_stages, cotangents, lambda, g_lanes);
            for (int i = n_stages - 1; i >= 0; --i) {
                Lanes<T>* v = cotangents + size_t(i + 1) * m - n;
                for (int d = 0; d < n; ++d) {
                    Lanes<T> sum = v[d];
                    for (int j = i + 1; j < n_stages; ++j)
                        if (tableau_.a_at(j, i) != 0)
                            sum = add(sum, tableau_.a_at(j, i), mu[j * n + d]);
                    v[d] = sum * step.h;
                }
                if (pull && tableau_.b[i] != 0) {
                    const Lanes<T>* kept = record.stages[s].data() + size_t(i) * n;
                    const Lanes<T> weight = Lanes<T>::all(tableau_.b[i]) * pull_lanes;
                    for (int d = 0; d < n; ++d) v[d] = v[d] + weight * kept[d];
                }
                const bool wanted = s > 0 || i > 0 || start;
                network.pull_back(
                    tape + size_t(i) * network_.n_units, cotangents + size_t(i) * m,
                    wanted ? mu + i * n : nullptr);
            }
            network.accumulate(tape, network_.n_units, cotangents, m, n_stages, sums);
            if (s == 0 && !start) return;
            for (int i = 0; i < n_stages; ++i)
                for (int d = 0; d < n; ++d) lambda[d] = lambda[d] + mu[i * n + d];
        }
        if (start) scatter(lambda, block, start);
    }

    // Adds what the states between have to do with this step.
    void read_off_back(
        const Step<T>& step, const Block& block, const T* g, int n_stages, Lanes<T>* cotangents,
        Lanes<T>* lambda, Lanes<T>* g_lanes) const {
        const int n = network_.n_dims, m = network_.n_cotangents;
        Mask<T> mask{};
        Lanes<T> theta{};
        const auto [first, end] = times_within(step);
        for (size_t j = first; j < end; ++j) {
            if (!any_inside(step, between_[j], mask, theta)) continue;
            gather(g + j * table_size(), block, g_lanes);
            for (int d = 0; d < n; ++d) {
                g_lanes[d] = select(mask, g_lanes[d], Lanes<T>::all(0));
                lambda[d] = lambda[d] + g_lanes[d];
            }
            for (int i = 0; i < n_stages; ++i) {
                const Lanes<T> weight = tableau_.dense(i, theta);
                Lanes<T>* v = cotangents + size_t(i + 1) * m - n;
                for (int d = 0; d < n; ++d) v[d] = v[d] + weight * g_lanes[d];
            }
        }
    }

    template <class Interrupted>
    void continuous_block(
        const Block& block, Outcome<T>* outcomes, const T* z, const T* g, const T* pull,
        const T* pull_square, const std::vector<std::vector<double>>& stretches,
        const Control<T>& control, Room& room, T* start, T* sums, Interrupted interrupted) {
        const Network<T>& network = networks_[block.member];
        const int n = network_.n_dims, n_stretches = int(stretches.size());
        Adjoint<T> system(network, tableau_.n_stages, pull, room.tape, room.walk);
        Walk<T, Adjoint<T>> walk(system, tableau_, control);
        room.stages.resize(2 * n);
        Lanes<T>*a = room.stages.data(), *g_lanes = a + n;
        std::fill(a, a + n, Lanes<T>::all(0));
        for (int i = 0; i < n_stretches; ++i) {
            const size_t offset = size_t(n_stretches - 1 - i) * table_size();
            gather(z + offset, block, walk.x);
            gather(g + offset, block, g_lanes);
            Lanes<T> size = Lanes<T>::all(0);
            for (int d = 0; d < n; ++d) {
                a[d] = a[d] + g_lanes[d];
                size = size + a[d] * a[d];
            }
            // Each row's cotangent is scaled to size one, see sknode/ode/adjoint.py.
            for (int lane = 0; lane < LANES; ++lane) {
                const bool pulled = pull_square && lane < block.rows;
                const T floor = pulled ? pull_square[block.first + lane] : T(0);
                const T norm = std::sqrt(size[lane] / T(n) + floor);
                size.set(lane, norm == 0 ? T(1) : norm);
            }
            if (pull) system.pull = gather_one(pull, block) / size;
            for (int d = 0; d < n; ++d) walk.x[n + d] = a[d] / size;
            Outcome<T>& outcome = outcomes[size_t(i) * blocks()];
            outcome = walk.go(
                stretches[i], used(block),
                [&](const Step<T>& step) {
                    add_quadrature(network, system, step.h * size, room, sums);
                },
                interrupted);
            if (outcome.ending != Ending::arrived) return;
            for (int d = 0; d < n; ++d) a[d] = walk.x[n + d] * size;
        }
        if (start) scatter(a, block, start);
    }

    // The parameters' part of a step, -sum of b_i h a df/dtheta.
    void add_quadrature(
        const Network<T>& network, Adjoint<T>& system, const Lanes<T>& h, Room& room,
        T* sums) const {
        const int m = network.n_cotangents, n_stages = stages_of_a_step();
        room.cotangents.resize(size_t(n_stages) * m);
        for (int i = 0; i < n_stages; ++i) {
            const Lanes<T> weight = Lanes<T>::all(-tableau_.b[i]) * h;
            for (int u = 0; u < m; ++u)
                room.cotangents[size_t(i) * m + u] = system.cotangents[size_t(i) * m + u] * weight;
        }
        network.accumulate(
            system.units, network.n_units, room.cotangents.data(), m, n_stages, sums);
    }

    // Calls f(block, room, sums, interrupted) for all blocks, and writes each member's sum of
    // the sums.
    template <class F>
    void summed_over_blocks(
        const std::vector<T*>& gradient, int n_threads, std::function<bool()>& poll, F f) {
        const int n_blocks = blocks_of_a_member(), n_groups = std::min(n_blocks, MOST_GROUPS);
        const int n_members = int(networks_.size());
        const size_t n = network_.n_parameters;
        sums_.assign(n * n_groups * n_members, T(0));
        auto sum_group = [&](int i, Room& room, auto interrupted) {
            const int before = i / n_groups * n_blocks, group = i % n_groups;
            const int first = group * n_blocks / n_groups, end = (group + 1) * n_blocks / n_groups;
            for (int block = first; block < end && !interrupted(); ++block)
                f(before + block, room, sums_.data() + n * i, interrupted);
        };
        for_each_task(n_groups * n_members, n_threads, poll, sum_group);
        for (int member = 0; member < n_members; ++member) {
            T* total = sums_.data() + n * n_groups * member;
            for (int group = 1; group < n_groups; ++group)
                for (size_t i = 0; i < n; ++i) total[i] += total[n * group + i];
            network_.split(total, gradient, member);
        }
    }

    // Calls f(task, room, interrupted) for all tasks, on as many threads as it pays for.
    template <class F>
    void for_each_task(int n_tasks, int n_threads, std::function<bool()>& poll, F f) {
        const double work = double(n_rows_) * double(network_.n_parameters);
        const int worthwhile = int(work / LEAST_WORK_OF_A_THREAD);
        n_threads = std::max(1, std::min({n_threads, n_tasks, worthwhile}));
        if (int(rooms_.size()) < n_threads) rooms_.resize(n_threads);
        interrupted_ = for_each(
            n_tasks, n_threads, poll,
            [&](int task, int thread, auto interrupted) { f(task, rooms_[thread], interrupted); });
    }
    bool interrupted_ = false;

    // The batch stops where its first row fails.
    Result summary(int first = 0, int n = -1) const {
        const int end = n < 0 ? int(outcomes_.size()) : first + n;
        Result result;
        bool any = false;
        for (int i = first; i < end; ++i) {
            const Outcome<T>& outcome = outcomes_[i];
            const bool failed = outcome.ending != Ending::arrived;
            result.n_evaluations = std::max(result.n_evaluations, outcome.n_evaluations);
            if (!failed && result.ending == Ending::arrived)
                result.n_steps = std::max(result.n_steps, outcome.n_steps);
            const int rows = block(i - first).rows;
            for (int lane = 0; lane < rows && outcome.n_steps > 0; ++lane) {
                const double proposal = std::abs(double(outcome.first_proposal[lane]));
                result.first_step = any ? std::min(result.first_step, proposal) : proposal;
                any = true;
            }
            if (failed) add_failure(outcome, rows, result);
        }
        if (interrupted_) result.ending = Ending::interrupted;
        return result;
    }

    static void add_failure(const Outcome<T>& outcome, int rows, Result& result) {
        const bool first = result.ending == Ending::arrived;
        // Whether an overflow happens is seen at the end of the grid only, in all blocks alike.
        if (outcome.ending != Ending::overflow && !first) {
            if (outcome.n_steps > result.n_steps) return;
            if (outcome.n_steps < result.n_steps) result.n_failed = 0, result.left = 0;
        }
        result.n_steps = first ? outcome.n_steps : std::min(result.n_steps, outcome.n_steps);
        result.ending = outcome.ending;
        for (int lane = 0; lane < rows; ++lane) {
            if (!outcome.failed[lane]) continue;
            ++result.n_failed;
            if (std::abs(double(outcome.left[lane])) > std::abs(result.left))
                result.left = double(outcome.left[lane]);
        }
    }
};

}  // namespace sknode::SKNODE_ISA

// The discrete adjoint of one block of rows: the reverse sweep of eager/discrete.py.
#pragma once

#include "batch.hpp"
#include "systems.hpp"

namespace sknode::SKNODE_ISA {

// What is pulled back, and where it arrives.
template <class T> struct Cotangents {
    const T* g;     // (times - 1, rows, n), those of the states
    const T* pull;  // (rows,), that of the kinetic energy; null if the solve had none
    T* start;       // (rows, n), that of the start; null if it is not wanted
};

template <class T> class Reverse {
  public:
    Reverse(const Block<T>& block, const Record<T>& record, Room<T>& room)
        : block_(block), tableau_(block.tableau), record_(record) {
        // Without times between, nothing comes from the stage that an FSAL method evaluates last.
        const bool without_last = tableau_.fsal && block.between.empty();
        const int n = block.network.n_dims;
        n_stages_ = tableau_.n_stages - without_last;
        room.cotangents.resize(size_t(n_stages_) * block.network.n_cotangents);
        room.stages.resize(size_t(n_stages_ + 2) * n);
        cotangents_ = room.cotangents.data();
        lambda_ = room.stages.data();
        mu_ = lambda_ + n;
        g_ = mu_ + size_t(n_stages_) * n;
    }

    // Adds the parameters' gradient to `sums`.
    void sweep(const Cotangents<T>& given, T* sums) {
        const Network<T>& network = block_.network;
        const size_t last = block_.between.size();
        block_.gather(given.g + last * block_.table_size, lambda_);
        Lanes<T> pull = Lanes<T>::all(0);
        if (given.pull) pull = block_.gather_column(given.pull);
        for (size_t s = record_.steps.size(); s-- > 0;) {
            const Lanes<T>* tape = record_.tapes[s].data();
            const bool beginning_wanted = s > 0 || given.start;
            begin_step();
            read_off_back(record_.steps[s], given.g);
            for (int i = n_stages_ - 1; i >= 0; --i) {
                collect(i, record_.steps[s].h);
                if (given.pull) add_pull(i, pull, record_.stages[s].data());
                pull_back_stage(i, tape, i > 0 || beginning_wanted);
            }
            network.accumulate(
                tape, network.n_units, cotangents_, network.n_cotangents, n_stages_, sums);
            if (!beginning_wanted) return;
            end_step();
        }
        if (given.start) block_.scatter(lambda_, given.start);
    }

  private:
    const Block<T>& block_;
    const Tableau<T>& tableau_;
    const Record<T>& record_;
    int n_stages_;
    Lanes<T>* cotangents_;  // (stages, n_cotangents)
    Lanes<T>* lambda_;      // (n,), the cotangent of the state
    Lanes<T>* mu_;          // (stages, n), those of the stages' arguments
    Lanes<T>* g_;           // (n,), that of a state between

    // The cotangent of a stage's derivative, the last of the stage's.
    Lanes<T>* slope(int stage) const {
        const Network<T>& network = block_.network;
        return cotangents_ + size_t(stage + 1) * network.n_cotangents - network.n_dims;
    }

    void begin_step() {
        const int n = block_.network.n_dims;
        for (int i = 0; i < n_stages_; ++i) {
            Lanes<T>* v = slope(i);
            const Lanes<T> b = Lanes<T>::all(tableau_.b[i]);
            for (int d = 0; d < n; ++d) v[d] = b * lambda_[d];
        }
    }

    // Adds what the states between have to do with a step.
    void read_off_back(const Step<T>& step, const T* g) {
        const int n = block_.network.n_dims;
        Mask<T> mask{};
        Lanes<T> theta{};
        const auto [first, end] = block_.between.within(step);
        for (size_t j = first; j < end; ++j) {
            if (!block_.between.inside(j, step, mask, theta)) continue;
            block_.gather(g + j * block_.table_size, g_);
            for (int d = 0; d < n; ++d) {
                g_[d] = select(mask, g_[d], Lanes<T>::all(0));
                lambda_[d] = lambda_[d] + g_[d];
            }
            for (int i = 0; i < n_stages_; ++i) {
                const Lanes<T> weight = tableau_.dense(i, theta);
                Lanes<T>* v = slope(i);
                for (int d = 0; d < n; ++d) v[d] = v[d] + weight * g_[d];
            }
        }
    }

    // Adds what comes from the arguments of later stages.
    void collect(int stage, const Lanes<T>& h) {
        const int n = block_.network.n_dims;
        const int n_stages = n_stages_;
        const Lanes<T>* mu = mu_;
        Lanes<T>* v = slope(stage);
        for (int d = 0; d < n; ++d) {
            Lanes<T> sum = v[d];
            for (int j = stage + 1; j < n_stages; ++j) {
                const T a = tableau_.a_at(j, stage);
                if (a != 0) sum = add(sum, a, mu[j * n + d]);
            }
            v[d] = sum * h;
        }
    }

    // Adds the pull of the kinetic energy, of which the solve has kept the stages S_i.
    void add_pull(int stage, const Lanes<T>& pull, const Lanes<T>* kept) {
        if (tableau_.b[stage] == 0) return;
        const int n = block_.network.n_dims;
        const Lanes<T> weight = Lanes<T>::all(tableau_.b[stage]) * pull;
        Lanes<T>* v = slope(stage);
        for (int d = 0; d < n; ++d) v[d] = v[d] + weight * kept[size_t(stage) * n + d];
    }

    void pull_back_stage(int stage, const Lanes<T>* tape, bool argument_wanted) {
        const Network<T>& network = block_.network;
        network.pull_back(
            tape + size_t(stage) * network.n_units,
            cotangents_ + size_t(stage) * network.n_cotangents,
            argument_wanted ? mu_ + stage * network.n_dims : nullptr);
    }

    void end_step() {
        const int n = block_.network.n_dims;
        for (int i = 0; i < n_stages_; ++i)
            for (int d = 0; d < n; ++d) lambda_[d] = lambda_[d] + mu_[i * n + d];
    }
};

}  // namespace sknode::SKNODE_ISA

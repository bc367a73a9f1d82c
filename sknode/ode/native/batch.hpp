// A batch of rows, cut into blocks that do not depend on each other.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "between.hpp"
#include "network.hpp"
#include "tableau.hpp"

namespace sknode::SKNODE_ISA {

// Rows that move together: as many as a block has lanes, or the rest of a member's.
template <class T> struct Block {
    const Network<T>& network;  // the member's
    const Tableau<T>& tableau;
    const Between<T>& between;
    size_t table_size;  // of a table (rows, n) of the whole batch
    int first, rows;

    Mask<T> used() const {
        Mask<T> mask{};
        for (int i = 0; i < rows; ++i) mask.set(i, true);
        return mask;
    }

    // The block's rows of a table (rows, n) as lanes, zero where there are none, and back.
    void gather(const T* table, Lanes<T>* lanes) const {
        const int n = network.n_dims;
        for (int i = 0; i < Lanes<T>::count; ++i)
            for (int d = 0; d < n; ++d)
                lanes[d].set(i, i < rows ? table[size_t(first + i) * n + d] : T(0));
    }
    void scatter(const Lanes<T>* lanes, T* table) const {
        const int n = network.n_dims;
        for (int i = 0; i < rows; ++i)
            for (int d = 0; d < n; ++d) table[size_t(first + i) * n + d] = lanes[d][i];
    }

    // The block's part of a column (rows,) as lanes, and back.
    Lanes<T> gather_column(const T* column) const {
        Lanes<T> lanes = Lanes<T>::all(0);
        for (int i = 0; i < rows; ++i) lanes.set(i, column[first + i]);
        return lanes;
    }
    void scatter_column(const Lanes<T>& lanes, T* column) const {
        for (int i = 0; i < rows; ++i) column[first + i] = lanes[i];
    }
};

// An equal share of the rows belongs to each member, whose networks are of one shape.
template <class T> struct Batch {
    std::vector<Network<T>> networks;
    Tableau<T> tableau;
    Between<T> between;
    int n_rows = 0;

    // The network to ask for what all members have in common.
    const Network<T>& network() const { return networks[0]; }

    int n_members() const { return int(networks.size()); }
    int rows_of_a_member() const { return n_rows / n_members(); }
    int blocks_of_a_member() const {
        return (rows_of_a_member() + Lanes<T>::count - 1) / Lanes<T>::count;
    }
    int n_blocks() const { return n_members() * blocks_of_a_member(); }

    Block<T> block(int i) const {
        const int member = i / blocks_of_a_member();
        const int before = i % blocks_of_a_member() * Lanes<T>::count;
        const int first = member * rows_of_a_member() + before;
        const int rows = std::min(Lanes<T>::count, rows_of_a_member() - before);
        const size_t table_size = size_t(n_rows) * network().n_dims;
        return {networks[member], tableau, between, table_size, first, rows};
    }
};

}  // namespace sknode::SKNODE_ISA

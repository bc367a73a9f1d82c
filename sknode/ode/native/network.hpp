// Dense layers over a block of rows: the field, its pullback, and its parameters' gradient.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "lanes.hpp"

namespace sknode::SKNODE_ISA {

enum class Activation { tanh, silu, softplus, relu };

inline Activation activation_named(const std::string& name) {
    if (name == "tanh") return Activation::tanh;
    if (name == "silu") return Activation::silu;
    if (name == "softplus") return Activation::softplus;
    if (name == "relu") return Activation::relu;
    throw std::invalid_argument("unknown activation " + name);
}

// So many outputs at a time keep their sums in registers.
constexpr int PANEL = REGISTER_BYTES == 64 ? 8 : 4;

// A matrix in panels of rows, each panel column by column: the order in which `multiply` reads.
template <class T> struct Packed {
    int n_rows = 0, n_columns = 0;
    std::vector<T> numbers;

    void pack(const T* matrix, int rows, int columns, int row_stride, int column_stride) {
        n_rows = rows;
        n_columns = columns;
        numbers.resize(size_t(rows) * columns);
        T* out = numbers.data();
        for (int first = 0; first < rows; first += PANEL) {
            const int height = std::min(PANEL, rows - first);
            for (int k = 0; k < columns; ++k)
                for (int o = first; o < first + height; ++o)
                    *out++ = matrix[size_t(o) * row_stride + size_t(k) * column_stride];
        }
    }
};

template <class T, int HEIGHT>
SKNODE_INLINE void multiply_panel(
    const T* w, const T* bias, int n_columns, const Lanes<T>* in, Lanes<T>* out) {
    Lanes<T> sum[HEIGHT];
    for (int o = 0; o < HEIGHT; ++o) sum[o] = Lanes<T>::all(bias ? bias[o] : T(0));
    for (int k = 0; k < n_columns; ++k, w += HEIGHT)
        for (int o = 0; o < HEIGHT; ++o)
            for (int p = 0; p < Lanes<T>::parts; ++p) sum[o].part[p] += w[o] * in[k].part[p];
    for (int o = 0; o < HEIGHT; ++o) out[o] = sum[o];
}

// The rows of a panel that is not full.
template <class T, int HEIGHT>
SKNODE_INLINE void multiply_rest(
    const T* w, const T* bias, int height, int n_columns, const Lanes<T>* in, Lanes<T>* out) {
    if constexpr (HEIGHT > 0) {
        if (height == HEIGHT)
            multiply_panel<T, HEIGHT>(w, bias, n_columns, in, out);
        else
            multiply_rest<T, HEIGHT - 1>(w, bias, height, n_columns, in, out);
    }
}

// out = matrix * in + bias
template <class T>
void multiply(const Packed<T>& matrix, const T* bias, const Lanes<T>* in, Lanes<T>* out) {
    const T* w = matrix.numbers.data();
    const int rows = matrix.n_rows, columns = matrix.n_columns;
    int o = 0;
    for (; o + PANEL <= rows; o += PANEL, w += size_t(PANEL) * columns)
        multiply_panel<T, PANEL>(w, bias ? bias + o : nullptr, columns, in, out + o);
    multiply_rest<T, PANEL - 1>(w, bias ? bias + o : nullptr, rows - o, columns, in, out + o);
}

template <class T> struct Layer {
    int n_in, n_out;
    Packed<T> weight, transposed;
    std::vector<T> bias;
};

// What a stage leaves behind are `n_units` lanes: its argument (z, and t if the field depends on
// it), the outputs of the hidden layers and, where they cannot be had from those, the slopes of
// the activation. Its cotangents are `n_cotangents` lanes: those before the activations of the
// hidden layers, and that of the derivative.
template <class T> class Network {
  public:
    Network(std::vector<int> sizes, Activation activation, bool time_dependent)
        : n_dims(sizes.back()), time_dependent(time_dependent), activation_(activation) {
        for (size_t i = 0; i + 1 < sizes.size(); ++i) {
            layers_.push_back({sizes[i], sizes[i + 1], {}, {}, {}});
            n_parameters += size_t(sizes[i] + 1) * sizes[i + 1];
            if (i > 0) n_hidden_ += sizes[i];
        }
        slopes_ = activation == Activation::silu || activation == Activation::softplus;
        n_units = n_dims + time_dependent + n_hidden_ * (1 + slopes_);
        n_cotangents = n_hidden_ + n_dims;
    }

    int n_dims;
    bool time_dependent;
    int n_units, n_cotangents;
    size_t n_parameters = 0;

    // Takes a member's part of each layer's weights (members, n_out, n_in) and biases.
    void load(const std::vector<const T*>& parameters, size_t member) {
        for (size_t i = 0; i < layers_.size(); ++i) {
            Layer<T>& layer = layers_[i];
            const T* w = parameters[2 * i] + member * layer.n_in * layer.n_out;
            const T* bias = parameters[2 * i + 1] + member * layer.n_out;
            layer.weight.pack(w, layer.n_out, layer.n_in, layer.n_in, 1);
            // The cotangent of the time is not wanted.
            const int n_wanted = i == 0 ? n_dims : layer.n_in;
            layer.transposed.pack(w, n_wanted, layer.n_out, 1, layer.n_in);
            layer.bias.assign(bias, bias + layer.n_out);
        }
    }

    // The derivative at the argument that the stage holds.
    void evaluate(Lanes<T>* units, Lanes<T>* derivative) const {
        const Lanes<T>* in = units;
        Lanes<T>* out = units + n_dims + time_dependent;
        for (size_t i = 0; i + 1 < layers_.size(); ++i) {
            multiply(layers_[i].weight, layers_[i].bias.data(), in, out);
            activate(out, layers_[i].n_out);
            in = out;
            out += layers_[i].n_out;
        }
        multiply(layers_.back().weight, layers_.back().bias.data(), in, derivative);
    }

    // Pulls the cotangent of the derivative, the last of `cotangents`, back to those of the hidden
    // layers, written before it, and, unless null, of the argument.
    void pull_back(const Lanes<T>* units, Lanes<T>* cotangents, Lanes<T>* argument) const {
        const Lanes<T>* outputs = units + n_dims + time_dependent + n_hidden_;
        Lanes<T>* v = cotangents + n_hidden_;
        for (size_t i = layers_.size() - 1; i > 0; --i) {
            const int n = layers_[i].n_in;
            outputs -= n;
            Lanes<T>* before = v - n;
            multiply<T>(layers_[i].transposed, nullptr, v, before);
            times_slope(before, outputs, n);
            v = before;
        }
        if (argument) multiply<T>(layers_[0].transposed, nullptr, v, argument);
    }

    // Adds the sum over stages and lanes of cotangent times input, each layer's weight and bias.
    void accumulate(
        const Lanes<T>* units, int unit_stride, const Lanes<T>* cotangents, int cotangent_stride,
        int n_stages, T* gradient) const {
        const Lanes<T>* in = units;
        for (const Layer<T>& layer : layers_) {
            add_products(
                in, unit_stride, layer.n_in, cotangents, cotangent_stride, layer.n_out, n_stages,
                gradient);
            in += layer.n_in;
            cotangents += layer.n_out;
            gradient += size_t(layer.n_in + 1) * layer.n_out;
        }
    }

    // Cuts a gradient into those of each layer's weight and bias, a member's part of each.
    void split(const T* gradient, const std::vector<T*>& parts, size_t member) const {
        size_t i = 0;
        for (const Layer<T>& layer : layers_)
            for (const size_t n : {size_t(layer.n_in) * layer.n_out, size_t(layer.n_out)}) {
                std::copy_n(gradient, n, parts[i] + member * n);
                gradient += n;
                ++i;
            }
    }

  private:
    std::vector<Layer<T>> layers_;
    Activation activation_;
    int n_hidden_ = 0;
    bool slopes_;

    void activate(Lanes<T>* u, int n) const {
        switch (activation_) {
            case Activation::tanh:
                for (int i = 0; i < n; ++i) u[i] = map(u[i], [](auto a) { return tanh_lanes(a); });
                break;
            case Activation::relu:
                for (int i = 0; i < n; ++i)
                    u[i] = map(u[i], [](auto a) { return at_least<T>(a, T(0)); });
                break;
            case Activation::silu:
                for (int i = 0; i < n; ++i)
                    for (int p = 0; p < Lanes<T>::parts; ++p) {
                        const Reg<T> a = u[i].part[p];
                        const Reg<T> s = sigmoid<T>(a);
                        u[i + n_hidden_].part[p] = s * (T(1) + a * (T(1) - s));
                        u[i].part[p] = a * s;
                    }
                break;
            case Activation::softplus:
                for (int i = 0; i < n; ++i)
                    for (int p = 0; p < Lanes<T>::parts; ++p) {
                        const Reg<T> a = u[i].part[p];
                        const Reg<T> s = sigmoid<T>(a);
                        u[i + n_hidden_].part[p] = a > T(20) ? Reg<T>{} + T(1) : s;
                        u[i].part[p] = softplus<T>(a);
                    }
                break;
        }
    }

    // Multiplies cotangents of the outputs y by the slopes there.
    void times_slope(Lanes<T>* v, const Lanes<T>* y, int n) const {
        switch (activation_) {
            case Activation::tanh:
                for (int i = 0; i < n; ++i)
                    v[i] = map(v[i], y[i], [](auto a, auto b) { return a - a * b * b; });
                break;
            case Activation::relu:
                for (int i = 0; i < n; ++i)
                    v[i] = map(v[i], y[i], [](auto a, auto b) {
                        const auto zero = decltype(a){};
                        return b > 0 ? a : zero;
                    });
                break;
            default:
                for (int i = 0; i < n; ++i) v[i] = v[i] * y[i + n_hidden_];
        }
    }

    // Adds the products of OUTS cotangents v and INS inputs, summed up in registers over stages and
    // lanes, to a tile of the weight's gradient.
    template <int OUTS, int INS>
    static SKNODE_INLINE void add_tile(
        const Lanes<T>* in, int in_stride, const Lanes<T>* v, int v_stride, int n_stages, int n_in,
        T* weight) {
        Reg<T> sum[OUTS][INS] = {};
        for (int s = 0; s < n_stages; ++s, in += in_stride, v += v_stride)
            for (int p = 0; p < Lanes<T>::parts; ++p)
                for (int o = 0; o < OUTS; ++o)
                    for (int k = 0; k < INS; ++k) sum[o][k] += v[o].part[p] * in[k].part[p];
        for (int o = 0; o < OUTS; ++o) {
            if constexpr (INS == 4)
                add_four_sums<T>(sum[o], weight + size_t(o) * n_in);
            else
                weight[size_t(o) * n_in] += sum_of<T>(sum[o][0]);
        }
    }

    // Adds all products of OUTS cotangents and the inputs from `first` to `end`. The bias's
    // gradient goes with the first input.
    template <int OUTS>
    static void add_band(
        const Lanes<T>* in, int in_stride, int first, int end, const Lanes<T>* v, int v_stride,
        int n_stages, int n_in, T* weight, T* bias) {
        int k = first;
        for (; k + 4 <= end; k += 4)
            add_tile<OUTS, 4>(in + k, in_stride, v, v_stride, n_stages, n_in, weight + k);
        for (; k < end; ++k)
            add_tile<OUTS, 1>(in + k, in_stride, v, v_stride, n_stages, n_in, weight + k);
        for (int o = 0; o < OUTS && first == 0; ++o) {
            Reg<T> sum = {};
            for (int s = 0; s < n_stages; ++s)
                for (int p = 0; p < Lanes<T>::parts; ++p) sum += v[s * v_stride + o].part[p];
            bias[o] += sum_of<T>(sum);
        }
    }

    // Adds the gradient of a layer's weight and bias.
    static void add_products(
        const Lanes<T>* in, int in_stride, int n_in, const Lanes<T>* v, int v_stride, int n_out,
        int n_stages, T* gradient) {
        T* bias = gradient + size_t(n_in) * n_out;
        // So many inputs at a time, in all stages, stay in the nearest cache.
        constexpr int CHUNK = 32;
        for (int first = 0; first < n_in; first += CHUNK) {
            const int end = std::min(n_in, first + CHUNK);
            int o = 0;
            for (; o + 3 <= n_out; o += 3)
                add_band<3>(
                    in, in_stride, first, end, v + o, v_stride, n_stages, n_in,
                    gradient + size_t(o) * n_in, bias + o);
            for (; o < n_out; ++o)
                add_band<1>(
                    in, in_stride, first, end, v + o, v_stride, n_stages, n_in,
                    gradient + size_t(o) * n_in, bias + o);
        }
    }
};

}  // namespace sknode::SKNODE_ISA

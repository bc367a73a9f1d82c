// Rows lie across the lanes of SIMD registers. Nothing but the sums at the end of this file mixes
// two lanes, so what is computed for a row is the same, bit for bit, whatever rows lie beside it.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#define SKNODE_INLINE inline __attribute__((always_inline))

// Each instruction set is a namespace of its own: the same source is compiled once for each.
namespace sknode::SKNODE_ISA {

#if defined(__AVX512F__)
constexpr int REGISTER_BYTES = 64;
#elif defined(__AVX__)
constexpr int REGISTER_BYTES = 32;
#else
constexpr int REGISTER_BYTES = 16;
#endif
// A block of rows is one cache line, whatever the registers, so that results depend on them as
// little as possible.
constexpr int BLOCK_BYTES = 64;

template <class T> struct Number;
template <> struct Number<float> {
    using Int = int32_t;
    static constexpr int mantissa_bits = 23, exponent_bias = 127;
    static constexpr float round_magic = 12582912.0f;  // 1.5 * 2^23; adding it rounds to integers
    static constexpr float exp_least = -87.0f, exp_most = 88.0f;
    static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    static constexpr int exp_terms = 7, atanh_terms = 8;
};
template <> struct Number<double> {
    using Int = int64_t;
    static constexpr int mantissa_bits = 52, exponent_bias = 1023;
    static constexpr double round_magic = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double exp_least = -708.0, exp_most = 709.0;
    static constexpr double ln2_high = 6.93145751953125e-1, ln2_low = 1.42860682030941723212e-6;
    static constexpr int exp_terms = 13, atanh_terms = 17;
};

template <class T> struct Register {
    typedef T type __attribute__((vector_size(REGISTER_BYTES), may_alias));
    typedef typename Number<T>::Int mask __attribute__((vector_size(REGISTER_BYTES), may_alias));
};
template <class T> using Reg = typename Register<T>::type;
template <class T> using RegMask = typename Register<T>::mask;

// One number for each row of a block.
template <class T> struct alignas(BLOCK_BYTES) Lanes {
    static constexpr int count = BLOCK_BYTES / sizeof(T);
    static constexpr int parts = BLOCK_BYTES / REGISTER_BYTES;
    Reg<T> part[parts];

    SKNODE_INLINE T operator[](int i) const { return part[i / width][i % width]; }
    SKNODE_INLINE void set(int i, T value) { part[i / width][i % width] = value; }

    static SKNODE_INLINE Lanes all(T value) {
        Lanes result;
        for (auto& p : result.part) p = value - Reg<T>{};
        return result;
    }

  private:
    static constexpr int width = REGISTER_BYTES / sizeof(T);
};

template <class T> struct alignas(BLOCK_BYTES) Mask {
    using Int = typename Number<T>::Int;
    static constexpr int width = REGISTER_BYTES / sizeof(T);
    RegMask<T> part[Lanes<T>::parts];

    SKNODE_INLINE bool operator[](int i) const { return part[i / width][i % width] != 0; }
    SKNODE_INLINE void set(int i, bool value) { part[i / width][i % width] = -Int(value); }
};

template <class T, class F> SKNODE_INLINE Lanes<T> map(const Lanes<T>& a, F f) {
    Lanes<T> result;
    for (int p = 0; p < Lanes<T>::parts; ++p) result.part[p] = f(a.part[p]);
    return result;
}
template <class T, class F> SKNODE_INLINE Lanes<T> map(const Lanes<T>& a, const Lanes<T>& b, F f) {
    Lanes<T> result;
    for (int p = 0; p < Lanes<T>::parts; ++p) result.part[p] = f(a.part[p], b.part[p]);
    return result;
}
template <class T> SKNODE_INLINE Lanes<T> operator+(const Lanes<T>& a, const Lanes<T>& b) {
    return map(a, b, [](auto u, auto v) { return u + v; });
}
template <class T> SKNODE_INLINE Lanes<T> operator-(const Lanes<T>& a, const Lanes<T>& b) {
    return map(a, b, [](auto u, auto v) { return u - v; });
}
template <class T> SKNODE_INLINE Lanes<T> operator*(const Lanes<T>& a, const Lanes<T>& b) {
    return map(a, b, [](auto u, auto v) { return u * v; });
}
template <class T> SKNODE_INLINE Lanes<T> operator/(const Lanes<T>& a, const Lanes<T>& b) {
    return map(a, b, [](auto u, auto v) { return u / v; });
}
// total + factor * a
template <class T> SKNODE_INLINE Lanes<T> add(const Lanes<T>& total, T factor, const Lanes<T>& a) {
    return map(total, a, [factor](auto u, auto v) { return u + factor * v; });
}
template <class T>
SKNODE_INLINE Lanes<T> select(const Mask<T>& mask, const Lanes<T>& yes, const Lanes<T>& no) {
    Lanes<T> result;
    for (int p = 0; p < Lanes<T>::parts; ++p)
        result.part[p] = mask.part[p] ? yes.part[p] : no.part[p];
    return result;
}

// A comparison with NaN is false, so that min and max written so hand NaN on from `x`.
template <class T> SKNODE_INLINE Reg<T> at_most(Reg<T> x, T limit) {
    const Reg<T> bound = limit - Reg<T>{};
    return x > bound ? bound : x;
}
template <class T> SKNODE_INLINE Reg<T> at_least(Reg<T> x, T limit) {
    const Reg<T> bound = limit - Reg<T>{};
    return x < bound ? bound : x;
}
template <class T> SKNODE_INLINE Reg<T> absolute(Reg<T> x) { return x < T(0) ? -x : x; }

template <class T> constexpr auto inverse_factorials() {
    std::array<T, Number<T>::exp_terms + 1> factors{};
    double factor = 1;
    for (int i = 0; i <= Number<T>::exp_terms; ++i) {
        factors[i] = T(factor);
        factor /= i + 1;
    }
    return factors;
}

// exp(x) = 2^n exp(r), |r| <= ln(2) / 2, by the Taylor series of exp(r).
template <class T> SKNODE_INLINE Reg<T> exponential(Reg<T> x) {
    using N = Number<T>;
    x = at_most<T>(at_least<T>(x, N::exp_least), N::exp_most);
    const Reg<T> shifted = x * T(1.44269504088896340736) + N::round_magic;
    const Reg<T> n = shifted - N::round_magic;
    const Reg<T> r = x - n * N::ln2_high - n * N::ln2_low;
    constexpr auto factors = inverse_factorials<T>();
    Reg<T> sum = Reg<T>{} + factors[N::exp_terms];
    for (int i = N::exp_terms - 1; i >= 0; --i) sum = sum * r + factors[i];
    RegMask<T> bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + typename N::Int(N::exponent_bias)) << N::mantissa_bits;
    Reg<T> scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return sum * scale;
}

template <class T> SKNODE_INLINE Reg<T> sigmoid(Reg<T> u) {
    return T(1) / (T(1) + exponential<T>(-u));
}

// Eigen's rational approximation, whose error is 1e-7.
SKNODE_INLINE Reg<float> tanh_lanes(Reg<float> u) {
    u = at_most<float>(at_least<float>(u, -7.90531110763549805f), 7.90531110763549805f);
    const Reg<float> s = u * u;
    Reg<float> p = s * -2.76076847742355e-16f + 2.00018790482477e-13f;
    p = p * s + -8.60467152213735e-11f;
    p = p * s + 5.12229709037114e-08f;
    p = p * s + 1.48572235717979e-05f;
    p = p * s + 6.37261928875436e-04f;
    p = p * s + 4.89352455891786e-03f;
    Reg<float> q = s * 1.19825839466702e-06f + 1.18534705686654e-04f;
    q = q * s + 2.26843463243900e-03f;
    q = q * s + 4.89352518554385e-03f;
    return u * p / q;
}
SKNODE_INLINE Reg<double> tanh_lanes(Reg<double> u) {
    return 1.0 - 2.0 / (exponential<double>(2.0 * u) + 1.0);
}

// max(u, 0) + log(1 + exp(-|u|)), with log(1 + e) = 2 artanh(e / (2 + e)). Above 20 it is the
// identity, as in torch.
template <class T> SKNODE_INLINE Reg<T> softplus(Reg<T> u) {
    const Reg<T> e = exponential<T>(-absolute<T>(u));
    const Reg<T> s = e / (T(2) + e);
    const Reg<T> s2 = s * s;
    Reg<T> sum = Reg<T>{};
    for (int k = Number<T>::atanh_terms; k >= 0; --k) sum = sum * s2 + T(1) / T(2 * k + 1);
    const Reg<T> result = at_least<T>(u, T(0)) + T(2) * s * sum;
    return u > T(20) ? u : result;
}

// The sum over the lanes of a register. Only gradients need it, and always in this order.
template <class T> SKNODE_INLINE T sum_of(Reg<T> a) {
    constexpr int width = REGISTER_BYTES / sizeof(T);
    T sum = a[0];
    for (int i = 1; i < width; ++i) sum += a[i];
    return sum;
}

// Adds the two halves of each group of `2 * STRIDE` lanes; the sums of a and b take turns.
template <class T, int STRIDE, size_t... I>
SKNODE_INLINE Reg<T> add_halves(Reg<T> a, Reg<T> b, std::index_sequence<I...>) {
    constexpr int width = sizeof...(I);
    constexpr auto first = [](int i) {
        return (i & STRIDE ? width : 0) + (i & ~(2 * STRIDE - 1)) + (i & (STRIDE - 1));
    };
    return __builtin_shufflevector(a, b, first(I)...) +
           __builtin_shufflevector(a, b, (first(I) + STRIDE)...);
}
template <class T, int STRIDE, size_t... I>
SKNODE_INLINE Reg<T> add_rotated(Reg<T> a, std::index_sequence<I...>) {
    return a + __builtin_shufflevector(a, a, (int(I + STRIDE) % int(sizeof...(I)))...);
}

// total[i] += the sum over the lanes of a[i], for four of them.
template <class T> SKNODE_INLINE void add_four_sums(const Reg<T>* a, T* total) {
    constexpr int width = REGISTER_BYTES / sizeof(T);
    constexpr std::make_index_sequence<width> lanes;
    const Reg<T> low = add_halves<T, 1>(a[0], a[1], lanes);
    const Reg<T> high = add_halves<T, 1>(a[2], a[3], lanes);
    if constexpr (width == 2) {
        for (int i = 0; i < 2; ++i) {
            total[i] += low[i];
            total[i + 2] += high[i];
        }
    } else {
        Reg<T> sums = add_halves<T, 2>(low, high, lanes);
        if constexpr (width >= 16) sums = add_rotated<T, 8>(sums, lanes);
        if constexpr (width >= 8) sums = add_rotated<T, 4>(sums, lanes);
        for (int i = 0; i < 4; ++i) total[i] += sums[i];
    }
}

}  // namespace sknode::SKNODE_ISA

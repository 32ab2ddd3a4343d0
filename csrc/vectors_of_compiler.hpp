// Vectors on the extension of GCC and Clang, for any architecture.
#pragma once

#include "lattice/lattice.hpp"

// Vectors never cross a call here: every helper is inlined.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

template <class T, int kSize>
struct VectorOf {
  typedef T type __attribute__((vector_size(sizeof(T) * kSize)));
};
template <class T, int kSize>
using Vector = typename VectorOf<T, kSize>::type;

// The elements of a where a comparison holds, those of b elsewhere.
template <class M, class V>
MMSEG_RLOSS_INLINE V select(const M& mask, const V& a, const V& b) {
  return mask ? a : b;
}

// Element by element, as numbers are converted.
template <class To, class V>
MMSEG_RLOSS_INLINE To convert(const V& v) {
  return __builtin_convertvector(v, To);
}

// The same bits as elements of another type.
template <class To, class V>
MMSEG_RLOSS_INLINE To bits_as(const V& v) {
  return (To)v;
}

// Elements of two vectors, those of b numbered behind those of a.
template <size_t... kIndex, class V>
MMSEG_RLOSS_INLINE V shuffle(const V& a, const V& b) {
  return __builtin_shufflevector(a, b, kIndex...);
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

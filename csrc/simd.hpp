// Short vectors on the compilers' vector extensions (GCC and Clang, any architecture).
// Every operation rounds like its scalar form and products are never fused with sums, so that all
// instruction sets give the same bits.
#pragma once

#include "lattice/lattice.hpp"

// Vectors never cross a call here: every helper is inlined.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

#define MMSEG_RLOSS_INLINE inline __attribute__((always_inline))

template <class T, int kLanes>
struct VectorOf {
  typedef T type __attribute__((vector_size(sizeof(T) * kLanes)));
};
template <class T, int kLanes>
using Vector = typename VectorOf<T, kLanes>::type;

// Pixels that are handled at a time: long enough runs for the memory, short enough for L1.
constexpr int64_t kBlock = 64;

// Integers of the size of T, as vectors of T compare to.
template <class T>
using UnsignedLike = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
template <class T>
using SignedLike = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

template <class V, class T>
MMSEG_RLOSS_INLINE V load(const T* from) {
  V v;
  std::memcpy(&v, from, sizeof(V));
  return v;
}

template <class V, class T>
MMSEG_RLOSS_INLINE void store(T* to, const V& v) {
  std::memcpy(to, &v, sizeof(V));
}

template <class V, class T>
MMSEG_RLOSS_INLINE V broadcast(T x) {
  return V{} + x;
}

// Round to the nearest integer, ties to even, for magnitudes below a quarter of 1 / epsilon: adding
// and taking away this number leaves no bit for a fraction.
template <class T>
constexpr T kRoundingShift = T(1.5) * (T(1) / std::numeric_limits<T>::epsilon());

template <class T, class V>
MMSEG_RLOSS_INLINE V round_to_even(const V& v) {
  return (v + kRoundingShift<T>)-kRoundingShift<T>;
}

// Transpose eight vectors of eight in place.
template <class V>
MMSEG_RLOSS_INLINE void transpose8(V (&row)[8]) {
  V a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = __builtin_shufflevector(row[i], row[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    a[i + 1] = __builtin_shufflevector(row[i], row[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = i; j < i + 2; ++j) {
      b[j] = __builtin_shufflevector(a[j], a[j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      b[j + 2] = __builtin_shufflevector(a[j], a[j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  for (int j = 0; j < 4; ++j) {
    row[j] = __builtin_shufflevector(b[j], b[j + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    row[j + 4] = __builtin_shufflevector(b[j], b[j + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

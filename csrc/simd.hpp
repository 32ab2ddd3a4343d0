// Short vectors, on the vector types of the compiler (GCC and Clang) or, where it has none, on
// arrays. Every operation rounds like its scalar form and products are never fused with sums, so
// that all instruction sets give the same bits.
#pragma once

#include "lattice/lattice.hpp"

#if defined(__GNUC__) || defined(__clang__)
#define MMSEG_RLOSS_INLINE inline __attribute__((always_inline))
#define MMSEG_RLOSS_NOINLINE __attribute__((noinline))
#define MMSEG_RLOSS_UNREACHABLE() __builtin_unreachable()
#define MMSEG_RLOSS_PREFETCH(address, locality) __builtin_prefetch(address, 0, locality)
#else  // MSVC
#define MMSEG_RLOSS_PORTABLE
#define MMSEG_RLOSS_INLINE __forceinline
#define MMSEG_RLOSS_NOINLINE __declspec(noinline)
#define MMSEG_RLOSS_UNREACHABLE() __assume(false)
#define MMSEG_RLOSS_PREFETCH(address, locality) ((void)(address))
#endif

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

// Pixels that are handled at a time: long enough runs for the memory, short enough for L1.
constexpr int64_t kBlock = 64;

// How many pixels ahead of the block at hand memory is asked for.
constexpr int64_t kAhead = 2 * kBlock;

// Numbers in a vector: what a register holds. Compilers take some of the operations on wider ones
// apart, number by number, which takes up to ten times as long.
template <class T>
constexpr int kWidth = MMSEG_RLOSS_VECTOR_BYTES / sizeof(T);

// Integers of the size of T, as vectors of T compare to.
template <class T>
using UnsignedLike = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
template <class T>
using SignedLike = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

#if defined(MMSEG_RLOSS_PORTABLE)
#include "vectors_of_arrays.hpp"
#else
#include "vectors_of_compiler.hpp"
#endif

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

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

// Ask for `count` elements to be brought into the first-level cache, while the processor goes on.
template <class T>
MMSEG_RLOSS_INLINE void prefetch(const T* from, int64_t count) {
  for (int64_t i = 0; i < count; i += 64 / sizeof(T)) MMSEG_RLOSS_PREFETCH(from + i, 3);
}

// The same for the second-level cache: planes of some sizes share few places of the first.
template <class T>
MMSEG_RLOSS_INLINE void prefetch_plane(const T* from, int64_t count) {
  for (int64_t i = 0; i < count; i += 64 / sizeof(T)) MMSEG_RLOSS_PREFETCH(from + i, 2);
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
    a[i] = shuffle<0, 8, 2, 10, 4, 12, 6, 14>(row[i], row[i + 1]);
    a[i + 1] = shuffle<1, 9, 3, 11, 5, 13, 7, 15>(row[i], row[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = i; j < i + 2; ++j) {
      b[j] = shuffle<0, 1, 8, 9, 4, 5, 12, 13>(a[j], a[j + 2]);
      b[j + 2] = shuffle<2, 3, 10, 11, 6, 7, 14, 15>(a[j], a[j + 2]);
    }
  }
  for (int j = 0; j < 4; ++j) {
    row[j] = shuffle<0, 1, 2, 3, 8, 9, 10, 11>(b[j], b[j + 4]);
    row[j + 4] = shuffle<4, 5, 6, 7, 12, 13, 14, 15>(b[j], b[j + 4]);
  }
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

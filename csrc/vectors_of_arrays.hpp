// Vectors of arrays, for compilers without vector types: what vectors_of_compiler.hpp has, with the
// same bits.
#pragma once

#include "lattice/lattice.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

template <class T, int kSize>
struct ArrayVector {
  // What comparisons give: all bits set where they hold.
  using Mask = ArrayVector<SignedLike<T>, kSize>;

  ArrayVector() = default;
  ArrayVector(T x) {  // a number stands for as many of it
    for (T& element : elements) element = x;
  }

  MMSEG_RLOSS_INLINE T& operator[](int i) { return elements[i]; }
  MMSEG_RLOSS_INLINE const T& operator[](int i) const { return elements[i]; }

  friend MMSEG_RLOSS_INLINE ArrayVector operator+(const ArrayVector& a, const ArrayVector& b) {
    return combine<ArrayVector>(a, b, [](T x, T y) { return T(x + y); });
  }
  friend MMSEG_RLOSS_INLINE ArrayVector operator-(const ArrayVector& a, const ArrayVector& b) {
    return combine<ArrayVector>(a, b, [](T x, T y) { return T(x - y); });
  }
  friend MMSEG_RLOSS_INLINE ArrayVector operator*(const ArrayVector& a, const ArrayVector& b) {
    return combine<ArrayVector>(a, b, [](T x, T y) { return T(x * y); });
  }
  friend MMSEG_RLOSS_INLINE ArrayVector operator/(const ArrayVector& a, const ArrayVector& b) {
    return combine<ArrayVector>(a, b, [](T x, T y) { return T(x / y); });
  }
  friend MMSEG_RLOSS_INLINE ArrayVector operator&(const ArrayVector& a, const ArrayVector& b) {
    return combine<ArrayVector>(a, b, [](T x, T y) { return T(x & y); });
  }
  friend MMSEG_RLOSS_INLINE ArrayVector operator|(const ArrayVector& a, const ArrayVector& b) {
    return combine<ArrayVector>(a, b, [](T x, T y) { return T(x | y); });
  }
  friend MMSEG_RLOSS_INLINE ArrayVector operator<<(const ArrayVector& a, const ArrayVector& b) {
    return combine<ArrayVector>(a, b, [](T x, T y) { return T(x << y); });
  }
  friend MMSEG_RLOSS_INLINE ArrayVector operator>>(const ArrayVector& a, const ArrayVector& b) {
    return combine<ArrayVector>(a, b, [](T x, T y) { return T(x >> y); });
  }
  friend MMSEG_RLOSS_INLINE Mask operator<(const ArrayVector& a, const ArrayVector& b) {
    return combine<Mask>(a, b, [](T x, T y) { return x < y ? -1 : 0; });
  }
  friend MMSEG_RLOSS_INLINE Mask operator>(const ArrayVector& a, const ArrayVector& b) {
    return combine<Mask>(a, b, [](T x, T y) { return x > y ? -1 : 0; });
  }
  friend MMSEG_RLOSS_INLINE Mask operator==(const ArrayVector& a, const ArrayVector& b) {
    return combine<Mask>(a, b, [](T x, T y) { return x == y ? -1 : 0; });
  }
  MMSEG_RLOSS_INLINE ArrayVector operator-() const {
    return combine<ArrayVector>(*this, *this, [](T x, T) { return T(-x); });
  }
  MMSEG_RLOSS_INLINE ArrayVector& operator+=(const ArrayVector& other) {
    return *this = *this + other;
  }
  MMSEG_RLOSS_INLINE ArrayVector& operator-=(const ArrayVector& other) {
    return *this = *this - other;
  }
  MMSEG_RLOSS_INLINE ArrayVector& operator*=(const ArrayVector& other) {
    return *this = *this * other;
  }

  template <class To, class F>
  static MMSEG_RLOSS_INLINE To combine(const ArrayVector& a, const ArrayVector& b, F f) {
    To result;
    for (int i = 0; i < kSize; ++i) result[i] = f(a[i], b[i]);
    return result;
  }

  T elements[kSize];
};

template <class T, int kSize>
using Vector = ArrayVector<T, kSize>;

template <class M, class T, int kSize>
MMSEG_RLOSS_INLINE Vector<T, kSize> select(const Vector<M, kSize>& mask, const Vector<T, kSize>& a,
                                           const Vector<T, kSize>& b) {
  Vector<T, kSize> result;
  for (int i = 0; i < kSize; ++i) result[i] = mask[i] ? a[i] : b[i];
  return result;
}

template <class To, class T, int kSize>
MMSEG_RLOSS_INLINE To convert(const Vector<T, kSize>& v) {
  To result;
  for (int i = 0; i < kSize; ++i) result[i] = std::decay_t<decltype(result[i])>(v[i]);
  return result;
}

template <class To, class V>
MMSEG_RLOSS_INLINE To bits_as(const V& v) {
  static_assert(sizeof(To) == sizeof(V));
  To result;
  std::memcpy(&result, &v, sizeof(V));
  return result;
}

template <size_t... kIndex, class T, int kSize>
MMSEG_RLOSS_INLINE Vector<T, kSize> shuffle(const Vector<T, kSize>& a, const Vector<T, kSize>& b) {
  static_assert(sizeof...(kIndex) == kSize);
  Vector<T, kSize> result;
  int i = 0;
  ((result[i++] = kIndex < kSize ? a[int(kIndex)] : b[int(kIndex) - kSize]), ...);
  return result;
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

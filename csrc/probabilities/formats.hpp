// Vectors of the types of logits, as vectors of the type that is computed with.
#pragma once

#include "exp.hpp"
#include "probabilities.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

using Halves = Vector<uint16_t, kWidth<float>>;

template <class T>
MMSEG_RLOSS_INLINE Vector<T, kWidth<T>> load_logits(const T* from) {
  return load<Vector<T, kWidth<T>>>(from);
}

MMSEG_RLOSS_INLINE Floats load_logits(const BFloat16* from) {
  return (Floats)(__builtin_convertvector(load<Halves>(from), Bits) << 16);
}

MMSEG_RLOSS_INLINE Floats load_logits(const Float16* from) {
  const Bits half = __builtin_convertvector(load<Halves>(from), Bits);
  const Bits sign = (half & 0x8000u) << 16, shifted = (half & 0x7fffu) << 13;
  // The exponent's bias is 127 instead of 15. A subnormal number is read as if it had a leading
  // bit, which is then taken away again; infinity and NaN keep the largest exponent.
  const Bits normal = shifted + (112u << 23);
  const Bits subnormal = (Bits)((Floats)(shifted + (113u << 23)) - 0x1p-14f);
  const Bits magnitude = shifted < (1u << 23)    ? subnormal
                         : shifted < (31u << 23) ? normal
                                                 : Bits(shifted + (224u << 23));
  return (Floats)(magnitude | sign);
}

template <class T>
MMSEG_RLOSS_INLINE void store_logits(T* to, const Vector<T, kWidth<T>>& v) {
  store(to, v);
}

// Round to the nearest number of 16 bits, ties to even.
MMSEG_RLOSS_INLINE void store_logits(BFloat16* to, const Floats& v) {
  const Bits bits = (Bits)v;
  const Bits rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const Bits result = v == v ? rounded : broadcast<Bits>(0x7fc0u);
  store(to, __builtin_convertvector(result, Halves));
}

MMSEG_RLOSS_INLINE void store_logits(Float16* to, const Floats& v) {
  const Bits bits = (Bits)v;
  const Bits sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  // Adding 1/2 leaves the multiples of 2^-24, which the subnormal numbers are, in the low bits.
  const Bits subnormal = (Bits)((Floats)magnitude + 0.5f) - (Bits)broadcast<Floats>(0.5f);
  const Bits normal = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  const Bits finite = magnitude < (113u << 23) ? subnormal : normal;
  const Bits infinity = broadcast<Bits>(0x7c00u), nan = broadcast<Bits>(0x7e00u);
  const Bits result = magnitude < (143u << 23) ? finite : v == v ? infinity : nan;
  store(to, __builtin_convertvector(result | sign, Halves));
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

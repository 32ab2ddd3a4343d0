// Vectors of the types of logits, as vectors of the type that is computed with.
#pragma once

#include "exp.hpp"
#include "probabilities.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

using Halves = Vector<uint16_t, kWidth<float>>;

MMSEG_RLOSS_INLINE Floats load_logits(const float* from) { return load<Floats>(from); }
MMSEG_RLOSS_INLINE Doubles load_logits(const double* from) { return load<Doubles>(from); }

MMSEG_RLOSS_INLINE Floats load_logits(const BFloat16* from) {
  return bits_as<Floats>(convert<Bits>(load<Halves>(from)) << 16);
}

MMSEG_RLOSS_INLINE Floats load_logits(const Float16* from) {
  const Bits half = convert<Bits>(load<Halves>(from));
  const Bits sign = (half & 0x8000u) << 16, shifted = (half & 0x7fffu) << 13;
  // The exponent's bias is 127 instead of 15. A subnormal number is read as if it had a leading
  // bit, which is then taken away again; infinity and NaN keep the largest exponent.
  const Bits normal = shifted + (112u << 23);
  const Bits subnormal = bits_as<Bits>(bits_as<Floats>(shifted + (113u << 23)) - 0x1p-14f);
  const Bits magnitude =
      select(shifted < (1u << 23), subnormal,
             select(shifted < (31u << 23), normal, Bits(shifted + (224u << 23))));
  return bits_as<Floats>(magnitude | sign);
}

MMSEG_RLOSS_INLINE void store_logits(float* to, const Floats& v) { store(to, v); }
MMSEG_RLOSS_INLINE void store_logits(double* to, const Doubles& v) { store(to, v); }

// Round to the nearest number of 16 bits, ties to even.
MMSEG_RLOSS_INLINE void store_logits(BFloat16* to, const Floats& v) {
  const Bits bits = bits_as<Bits>(v);
  const Bits rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const Bits result = select(v == v, rounded, broadcast<Bits>(0x7fc0u));
  store(to, convert<Halves>(result));
}

MMSEG_RLOSS_INLINE void store_logits(Float16* to, const Floats& v) {
  const Bits bits = bits_as<Bits>(v);
  const Bits sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  // Adding 1/2 leaves the multiples of 2^-24, which the subnormal numbers are, in the low bits.
  const Bits subnormal =
      bits_as<Bits>(bits_as<Floats>(magnitude) + 0.5f) - bits_as<Bits>(broadcast<Floats>(0.5f));
  const Bits normal = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  const Bits finite = select(magnitude < (113u << 23), subnormal, normal);
  const Bits infinity = broadcast<Bits>(0x7c00u), nan = broadcast<Bits>(0x7e00u);
  const Bits result = select(magnitude < (143u << 23), finite, select(v == v, infinity, nan));
  store(to, convert<Halves>(result | sign));
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

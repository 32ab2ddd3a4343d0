// The exponential function of vectors, with the same bits on every machine.
#pragma once

#include "../simd.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

using Floats = Vector<float, kWidth<float>>;
using Doubles = Vector<double, kWidth<double>>;
using Bits = Vector<uint32_t, kWidth<float>>;  // of Floats

// exp(x) for x <= 0, within 1.5 ulp; 0 below the smallest normal number, NaN for NaN.
//
// exp(x) = 2^n exp(r) with the integer n next to x / log(2) and |r| <= log(2) / 2. On that range,
// 1 + r + r^2 q(r) has a relative error of 3e-9 with the q, of degree 4, whose largest relative
// error is the least.
MMSEG_RLOSS_INLINE Floats exp_of_negative(const Floats& x) {
  const Floats shifted = x * 0x1.715476p+0f + kRoundingShift<float>;  // its low bits are those of n
  const Floats n = shifted - kRoundingShift<float>;
  // log(2) in two parts, the first so short that its product with n is exact.
  const Floats r = x - n * 0x1.63p-1f + n * 0x1.bd0106p-13f;
  Floats q = broadcast<Floats>(0x1.6a23cep-10f);
  q = q * r + 0x1.123a20p-7f;
  q = q * r + 0x1.5558f2p-5f;
  q = q * r + 0x1.555492p-3f;
  q = q * r + 0x1.fffffcp-2f;
  const Floats exp_r = q * (r * r) + r + 1.0f;
  const Floats power = bits_as<Floats>((bits_as<Bits>(shifted) << 23) + (127u << 23));  // 2^n
  return select(x < -87.3f, Floats{}, Floats(exp_r * power));
}

MMSEG_RLOSS_INLINE Doubles exp_of_negative(const Doubles& x) {
  Doubles result = x;
  for (int l = 0; l < kWidth<double>; ++l) result[l] = std::exp(x[l]);
  return result;
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

// The exponential function of vectors, with the same bits on every machine.
#pragma once

#include "../simd.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

// Numbers in a vector: what a register holds, as compilers split wider vectors of integers into
// their elements.
template <class T>
constexpr int kWidth = MMSEG_RLOSS_VECTOR_BYTES / sizeof(T);

// exp(x) for x <= 0, within 1.5 ulp; 0 below the smallest normal number, NaN for NaN.
//
// exp(x) = 2^n exp(r) with the integer n next to x / log(2) and |r| <= log(2) / 2. On that range,
// 1 + r + r^2 q(r) has a relative error of 3e-9 with the q, of degree 4, whose largest relative
// error is the least.
MMSEG_RLOSS_INLINE Vector<float, kWidth<float>> exp_of_negative(
    const Vector<float, kWidth<float>>& x) {
  using V = Vector<float, kWidth<float>>;
  using U = Vector<uint32_t, kWidth<float>>;
  const V shifted = x * 0x1.715476p+0f + kRoundingShift<float>;  // its low bits are those of n
  const V n = shifted - kRoundingShift<float>;
  // log(2) in two parts, the first so short that its product with n is exact.
  const V r = x - n * 0x1.63p-1f + n * 0x1.bd0106p-13f;
  V q = broadcast<V>(0x1.6a23cep-10f);
  q = q * r + 0x1.123a20p-7f;
  q = q * r + 0x1.5558f2p-5f;
  q = q * r + 0x1.555492p-3f;
  q = q * r + 0x1.fffffcp-2f;
  const V mantissa = q * (r * r) + r + 1.0f;
  const V power = (V)(((U)shifted << 23) + (127u << 23));  // 2^n
  return x < -87.3f ? V{} : V(mantissa * power);
}

MMSEG_RLOSS_INLINE Vector<double, kWidth<double>> exp_of_negative(
    const Vector<double, kWidth<double>>& x) {
  Vector<double, kWidth<double>> result;
  for (int l = 0; l < kWidth<double>; ++l) result[l] = std::exp(x[l]);
  return result;
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

// From logits to probabilities at a smaller scale, within a region, and back: the interface.
//
// The kernels are compiled once per instruction set, as those of the lattice are, and for the same
// reason all standard headers are included here.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "../memory.hpp"
#include "../parallel.hpp"

namespace mmseg_rloss {

// Numbers of 16 bits as they lie in memory: IEEE's binary16, and the upper half of a float.
enum class Float16 : uint16_t {};
enum class BFloat16 : uint16_t {};

// The type in which logits of type L are computed.
template <class L>
using ComputeType = std::conditional_t<std::is_same_v<L, double>, double, float>;

// One channel stands for two classes with the logits -x/2 and x/2, any other number for as many.
template <class L>
struct ScaledProbabilities {
  const L* logits;                      // (N, K, H, W)
  const ComputeType<L>* region;         // (N, h, w), what the probabilities are multiplied with
  int64_t num_images;                   // N
  int64_t num_channels;                 // K
  int64_t height, width;                // H, W
  int64_t scaled_height, scaled_width;  // h, w
  double scale_factor;                  // in (0, 1]
  int num_threads;

  int64_t num_classes() const { return std::max<int64_t>(2, num_channels); }  // C
};

// forward writes the probabilities (N, C, h, w), backward turns their gradient (N, C, h, w) into
// that of the logits (N, K, H, W). Both compute the softmax anew and read the logits once.
#define MMSEG_RLOSS_DECLARE_FOR(L)                                          \
  void forward(const ScaledProbabilities<L>& maps, ComputeType<L>* result); \
  void backward(const ScaledProbabilities<L>& maps, const ComputeType<L>* grad, L* result);
#define MMSEG_RLOSS_DECLARE(isa)    \
  namespace isa {                   \
  MMSEG_RLOSS_DECLARE_FOR(Float16)  \
  MMSEG_RLOSS_DECLARE_FOR(BFloat16) \
  MMSEG_RLOSS_DECLARE_FOR(float)    \
  MMSEG_RLOSS_DECLARE_FOR(double)   \
  }
MMSEG_RLOSS_DECLARE(baseline)
#if defined(__x86_64__)
MMSEG_RLOSS_DECLARE(avx2)
MMSEG_RLOSS_DECLARE(avx512)
#endif
#undef MMSEG_RLOSS_DECLARE
#undef MMSEG_RLOSS_DECLARE_FOR

}  // namespace mmseg_rloss

// The permutohedral lattice filter: its interface, and the standard headers of its kernels.
//
// The kernels are compiled once per instruction set (lattice_baseline.cpp and its siblings). All
// standard headers are included here, before any of those files asks the compiler for more than
// the baseline, so that no inline function of the library is compiled for a newer machine.
#pragma once

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../memory.hpp"
#include "../parallel.hpp"

namespace mmseg_rloss {

// The order in which the axes are blurred; kBoth is the mean of the two, a symmetric filter.
enum class Blur { kBoth, kAscending, kDescending };

enum Stage { kEmbed, kNeighbours, kSplat, kBlur, kSlice, kNumStages };

// Features (dimension, pixel) of a batch: optionally the position of each pixel, then planes.
template <class T>
struct Features {
  const T* planes;     // (N, C, P)
  int64_t num_planes;  // C
  T divisor;           // bandwidth of the planes
  bool with_position;  // whether x and y come first
  T position_divisor;  // bandwidth of the position
  int64_t width;       // pixels in a row of the image, for the position

  int64_t dim() const { return num_planes + (with_position ? 2 : 0); }
};

template <class T>
struct Filter {
  Features<T> features;
  const T* values;  // (N, K, P)
  T* result;        // (N, K, P)
  int64_t num_images;
  int64_t num_channels;
  int64_t num_pixels;
  Blur blur;
  int num_threads;
  std::atomic<int64_t>* stage_nanoseconds;  // kNumStages sums of all threads' processor time
};

// The largest number of feature dimensions.
constexpr int kMaxDim = 32;

// Run the filter, or return false where the features are too large for their type to tell pixels
// apart. Throws std::domain_error for features and std::invalid_argument for values that are not
// finite.
#define MMSEG_RLOSS_DECLARE(isa)          \
  namespace isa {                         \
  bool run(const Filter<float>& filter);  \
  bool run(const Filter<double>& filter); \
  }
MMSEG_RLOSS_DECLARE(baseline)
#if defined(__x86_64__)
MMSEG_RLOSS_DECLARE(avx2)
MMSEG_RLOSS_DECLARE(avx512)
#endif
#undef MMSEG_RLOSS_DECLARE

}  // namespace mmseg_rloss

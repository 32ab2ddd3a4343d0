// Bilinear interpolation along one axis: which positions of the two scales go together.
#pragma once

#include "../simd.hpp"
#include "probabilities.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

// For each position along one axis, the two positions of the other scale that go with it.
template <class T>
struct Taps {
  Taps(int64_t size, int64_t position)
      : first(size, int32_t(position)), second(first), first_weight(size), second_weight(size) {}

  std::vector<int32_t> first, second;
  std::vector<T> first_weight, second_weight;
};

// The neighbours of each scaled position in the source, as torch's bilinear interpolation places
// them. There is one alone where the second's weight is zero: `second` is `first` then.
template <class T>
Taps<T> make_taps(double scale_factor, int64_t size, int64_t scaled_size) {
  Taps<T> taps(scaled_size, 0);
  const T step = T(1 / scale_factor);
  for (int64_t i = 0; i < scaled_size; ++i) {
    const T source = std::max(T(0), std::fma(step, T(i) + T(0.5), T(-0.5)));
    const int64_t first = std::min(int64_t(source), size - 1);
    const bool has_second = source > T(first) && first + 1 < size;
    taps.first[i] = int32_t(first);
    taps.second[i] = int32_t(first + has_second);
    taps.second_weight[i] = has_second ? source - T(first) : T(0);
    taps.first_weight[i] = T(1) - taps.second_weight[i];
  }
  return taps;
}

// The scaled positions of which each source position is the first or the second neighbour. It is
// either of one at most, as the step between them is not below 1; `scaled_size` with the weight 0
// stands for none.
template <class T>
Taps<T> transpose(const Taps<T>& taps, int64_t size) {
  const int64_t scaled_size = int64_t(taps.first.size());
  Taps<T> transposed(size, scaled_size);
  for (int64_t i = 0; i < scaled_size; ++i) {
    transposed.first[taps.first[i]] = int32_t(i);
    transposed.first_weight[taps.first[i]] = taps.first_weight[i];
    if (taps.second[i] == taps.first[i]) continue;
    transposed.second[taps.second[i]] = int32_t(i);
    transposed.second_weight[taps.second[i]] = taps.second_weight[i];
  }
  return transposed;
}

// How the columns of the two scales go together: frequent cases, in which whole vectors of
// neighbours do.
enum class Pattern { kSame, kPairs, kAny };

template <class T>
Pattern pattern_of(const Taps<T>& columns) {
  bool same = true, pairs = true;
  for (size_t x = 0; x < columns.first.size(); ++x) {
    const size_t first = columns.first[x], second = columns.second[x];
    same = same && first == x && second == x;
    pairs = pairs && first == 2 * x && second == 2 * x + 1;
  }
  return same ? Pattern::kSame : pairs ? Pattern::kPairs : Pattern::kAny;
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

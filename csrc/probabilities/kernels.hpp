// Probabilities from logits and their gradient for one instruction set, in the namespace that
// MMSEG_RLOSS_ISA names.
//
// Both directions go through the maps row by row, in bands of rows that may run side by side. What
// is computed of a row stays in the cache; each element of a result is computed by itself, so that
// it does not depend on how the work is divided.
#pragma once

#include "exp.hpp"
#include "formats.hpp"
#include "probabilities.hpp"
#include "taps.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

// Zeros that begin at a cache line.
template <class T>
class Zeros {
 public:
  explicit Zeros(size_t size) : data_(static_cast<T*>(allocate(size * sizeof(T)))) {
    std::memset(static_cast<void*>(data_), 0, size * sizeof(T));
  }
  ~Zeros() { release(data_); }
  Zeros(const Zeros&) = delete;
  Zeros& operator=(const Zeros&) = delete;
  T* data() const { return data_; }

 private:
  T* data_;
};

// Elements 0, 2, 4, ... and 1, 3, 5, ... of two vectors.
template <class V, size_t... kIndex>
MMSEG_RLOSS_INLINE void separate(const V& a, const V& b, V& even, V& odd,
                                 std::index_sequence<kIndex...>) {
  even = shuffle<(2 * kIndex)...>(a, b);
  odd = shuffle<(2 * kIndex + 1)...>(a, b);
}

// Each element of a vector twice.
template <class V, size_t... kIndex>
MMSEG_RLOSS_INLINE void repeat(const V& v, V& low, V& high, std::index_sequence<kIndex...>) {
  low = shuffle<(kIndex / 2)...>(v, v);
  high = shuffle<((kIndex + sizeof...(kIndex)) / 2)...>(v, v);
}

template <class L>
class ProbabilityKernels {
 public:
  using T = ComputeType<L>;

  explicit ProbabilityKernels(const ScaledProbabilities<L>& maps)
      : maps_(maps),
        num_classes_(maps.num_classes()),
        pitch_(((maps.width / (2 * kStep) + 1) | 1) * (2 * kStep)),
        rows_(make_taps<T>(maps.scale_factor, maps.height, maps.scaled_height)),
        columns_(make_taps<T>(maps.scale_factor, maps.width, maps.scaled_width)),
        pattern_(pattern_of(columns_)),
        scaled_rows_(transpose(rows_, maps.height)),
        scaled_columns_(transpose(columns_, maps.width)) {}

  // Compute the probabilities of an image in a band of their rows.
  void forward(int64_t image, int64_t band, T* result) const {
    Exponentials exponentials[2] = {{num_classes_, pitch_}, {num_classes_, pitch_}};
    Zeros<L> tail(maps_.num_channels * kBlock);
    Zeros<T> factors(2 * pitch_), mixed(pitch_);
    T *const factor = factors.data(), *const next_factor = factor + pitch_;
    const int64_t end = std::min(maps_.scaled_height, (band + 1) * kBandRows);
    for (int64_t y = band * kBandRows; y < end; ++y) {
      // The second row may be the first of the next y: it is where that looks for it.
      const int64_t first = rows_.first[y], second = rows_.second[y];
      Exponentials &row = exponentials[first % 2], &next = exponentials[second % 2];
      compute(image, first, tail.data(), row);
      compute(image, second, tail.data(), next);
      for (int64_t x = 0; x < pitch_; ++x) {
        factor[x] = row.norm.data()[x] * rows_.first_weight[y];
        next_factor[x] = next.norm.data()[x] * rows_.second_weight[y];
      }
      const T* const region = scaled_row(maps_.region, image, y);
      for (int64_t k = 0; k < num_classes_; ++k) {
        const T* const a = row.values.data() + k * pitch_;
        const T* const b = next.values.data() + k * pitch_;
        for (int64_t x = 0; x < pitch_; x += kStep) {
          V sum = load<V>(a + x) * load<V>(factor + x);
          if (first != second) sum = sum + load<V>(b + x) * load<V>(next_factor + x);
          store(mixed.data() + x, sum);
        }
        shrink(mixed.data(), region, scaled_row(result, image * num_classes_ + k, y));
      }
    }
  }

  // Compute the logits' gradient in a band of their rows.
  void backward(int64_t image, int64_t band, const T* grad, const T* factors, L* result) const {
    Zeros<T> spread(num_classes_ * pitch_), exponentials(num_classes_ * kBlock);
    Zeros<L> tail(maps_.num_channels * kBlock), computed(maps_.num_channels * pitch_);
    Zeros<T> weights(2 * maps_.scaled_width), mixed(pitch_);
    const int64_t end = std::min(maps_.height, (band + 1) * kBandRows);
    for (int64_t y = band * kBandRows; y < end; ++y) {
      const L* const from = row_of(maps_.logits, image, y);
      L* const to = row_of(result, image, y);
      if (!spread_gradient(image, y, grad, factors, weights.data(), mixed.data(), spread.data())) {
        clear(to);
        continue;
      }
      const auto block = [&](auto steps, const L* logits, int64_t pitch, int64_t x,
                             bool has_later) {
        backward_block<decltype(steps)::value>(logits, pitch, has_later, spread.data() + x,
                                               exponentials.data(), computed.data() + x);
      };
      for_each_block(from, y, tail.data(), block);
      write_row(computed.data(), to);
    }
    finish_copies();
  }

  static int64_t num_bands(int64_t num_rows) { return (num_rows + kBandRows - 1) / kBandRows; }

 private:
  static constexpr int kStep = kWidth<T>;
  using V = Vector<T, kStep>;

  // Pixels are taken as many steps at a time as keep the processor busy.
  static constexpr std::integral_constant<int, 4> kBlockSteps{};
  static constexpr std::integral_constant<int, 1> kOneStep{};
  static constexpr int kBlock = kBlockSteps * kStep;

  static constexpr int64_t kBandRows = 16;

  // The numerators of the softmax in a row, and the inverse of their sum.
  struct Exponentials {
    Exponentials(int64_t num_classes, int64_t pitch) : values(num_classes * pitch), norm(pitch) {}
    int64_t row = -1;
    Zeros<T> values;  // (C, pitch)
    Zeros<T> norm;    // (pitch)
  };

  // A row of maps (..., h, w).
  template <class P>
  P* scaled_row(P* maps, int64_t index, int64_t y) const {
    return maps + (index * maps_.scaled_height + y) * maps_.scaled_width;
  }

  // The first element of a row of the logits' maps: pixels of a plane, or pixels of all channels.
  template <class P>
  P* row_of(P* maps, int64_t image, int64_t y) const {
    const int64_t plane = maps_.height * maps_.width;
    const int64_t offset = y * maps_.width * (maps_.channels_last ? maps_.num_channels : 1);
    return maps + image * maps_.num_channels * plane + offset;
  }

  // Where pixel x of channel k lies in such a row.
  int64_t place(int64_t k, int64_t x) const {
    return maps_.channels_last ? x * maps_.num_channels + k : k * maps_.height * maps_.width + x;
  }

  // Pixels [x, x + count) of a row, as (K, kBlock).
  void load_pixels(const L* row, int64_t x, int64_t count, L* planes) const {
    for (int64_t i = 0; i < count; ++i)
      for (int64_t k = 0; k < maps_.num_channels; ++k)
        planes[k * kBlock + i] = row[place(k, x + i)];
  }

  // Calls block(steps, logits, pitch, x, has_later) for all pixels of a row, where has_later says
  // whether memory kAhead pixels behind the logits may be asked for.
  template <class F>
  MMSEG_RLOSS_INLINE void for_each_block(const L* from, int64_t y, L* tail, F&& block) const {
    const int64_t width = maps_.width, plane = maps_.height * width;
    const auto copied_block = [&](auto steps, int64_t x, int64_t count) {
      load_pixels(from, x, count, tail);
      block(steps, tail, kBlock, x, false);
    };
    int64_t x = 0;
    if (maps_.channels_last) {
      for (; x + kBlock <= width; x += kBlock) copied_block(kBlockSteps, x, kBlock);
    } else {
      for (; x + kBlock <= width; x += kBlock) {
        const bool has_later = y * width + x + kAhead + kBlock <= plane;
        block(kBlockSteps, from + x, plane, x, has_later);
      }
      for (; x + kStep <= width; x += kStep) block(kOneStep, from + x, plane, x, false);
    }
    for (; x < width; x += kStep) copied_block(kOneStep, x, std::min<int64_t>(kStep, width - x));
  }

  // Write a row of the result that was computed as (K, pitch_).
  void write_row(const L* computed, L* row) const {
    const int64_t width = maps_.width, plane = maps_.height * width;
    if (maps_.channels_last) {
      for (int64_t x = 0; x < width; ++x)
        for (int64_t k = 0; k < maps_.num_channels; ++k)
          row[place(k, x)] = computed[k * pitch_ + x];
      return;
    }
    const size_t size = maps_.num_images * maps_.num_channels * plane * sizeof(L);
    for (int64_t k = 0; k < maps_.num_channels; ++k) {
      const L* const from = computed + k * pitch_;
      if (size < kLarge)
        std::memcpy(row + k * plane, from, width * sizeof(L));
      else
        copy_past_caches(from, width * sizeof(L), row + k * plane);
    }
  }

  void clear(L* row) const {
    const int64_t plane = maps_.height * maps_.width;
    if (maps_.channels_last) {
      std::memset(static_cast<void*>(row), 0, maps_.width * maps_.num_channels * sizeof(L));
      return;
    }
    for (int64_t k = 0; k < maps_.num_channels; ++k)
      std::memset(static_cast<void*>(row + k * plane), 0, maps_.width * sizeof(L));
  }

  void compute(int64_t image, int64_t y, L* tail, Exponentials& row) const {
    if (row.row == y) return;
    row.row = y;
    const auto block = [&](auto steps, const L* logits, int64_t pitch, int64_t x, bool has_later) {
      constexpr int kSteps = decltype(steps)::value;
      V sum[kSteps];
      exponentiate<kSteps>(logits, pitch, has_later, row.values.data() + x, pitch_, sum);
      for (int i = 0; i < kSteps; ++i) store(row.norm.data() + x + i * kStep, V(T(1) / sum[i]));
    };
    for_each_block(row_of(maps_.logits, image, y), y, tail, block);
  }

  // The numerators of the softmax and their sum, for kSteps vectors of pixels.
  template <int kSteps>
  MMSEG_RLOSS_INLINE void exponentiate(const L* logits, int64_t pitch, bool has_later, T* to,
                                       int64_t to_pitch, V (&sum)[kSteps]) const {
    if (maps_.num_channels == 1) {
      for (int i = 0; i < kSteps; ++i) {
        const V x = load_logits(logits + i * kStep);
        const V smaller = exp_of_negative(select(x < T(0), x, V(-x))), one = broadcast<V>(T(1));
        store(to + i * kStep, select(x < T(0), one, smaller));
        store(to + to_pitch + i * kStep, select(x < T(0), smaller, one));
        sum[i] = smaller + T(1);
      }
      return;
    }
    // The logits are copied at once: planes of some sizes share few places of the cache and would
    // have left it by the second look.
    V largest[kSteps];
    for (int i = 0; i < kSteps; ++i) largest[i] = broadcast<V>(-std::numeric_limits<T>::infinity());
    for (int64_t k = 0; k < maps_.num_channels; ++k) {
      for (int i = 0; i < kSteps; ++i) {
        const V x = load_logits(logits + k * pitch + i * kStep);
        store(to + k * to_pitch + i * kStep, x);
        largest[i] = select(largest[i] > x, largest[i], x);
      }
    }
    for (int i = 0; i < kSteps; ++i) sum[i] = V{};
    for (int64_t k = 0; k < maps_.num_channels; ++k) {
      if (has_later) prefetch_plane(logits + k * pitch + kAhead, kSteps * kStep);
      for (int i = 0; i < kSteps; ++i) {
        T* const at = to + k * to_pitch + i * kStep;
        const V numerator = exp_of_negative(load<V>(at) - largest[i]);
        store(at, numerator);
        sum[i] = sum[i] + numerator;
      }
    }
  }

  template <int kSteps>
  MMSEG_RLOSS_INLINE void backward_block(const L* logits, int64_t pitch, bool has_later,
                                         const T* grad, T* exponentials, L* result) const {
    V sum[kSteps];
    exponentiate<kSteps>(logits, pitch, has_later, exponentials, kBlock, sum);
    for (int i = 0; i < kSteps; ++i) {
      const T *const numerator = exponentials + i * kStep, *const g = grad + i * kStep;
      L* const to = result + i * kStep;
      const V norm = T(1) / sum[i];
      if (maps_.num_channels == 1) {
        const V p = load<V>(numerator) * norm, q = load<V>(numerator + kBlock) * norm;
        store_logits(to, p * q * (load<V>(g + pitch_) - load<V>(g)));
        continue;
      }
      V mean{};
      for (int64_t k = 0; k < num_classes_; ++k)
        mean = mean + load<V>(numerator + k * kBlock) * load<V>(g + k * pitch_);
      mean = mean * norm;
      for (int64_t k = 0; k < num_classes_; ++k) {
        const V p = load<V>(numerator + k * kBlock) * norm;
        store_logits(to + k * pitch_, p * (load<V>(g + k * pitch_) - mean));
      }
    }
  }

  // Interpolate between the columns of a row and apply the region.
  void shrink(const T* row, const T* region, T* result) const {
    const int64_t width = maps_.scaled_width;
    int64_t x = 0;
    if (pattern_ == Pattern::kPairs) {
      for (; x + kStep <= width; x += kStep) {
        V even, odd;
        separate(load<V>(row + 2 * x), load<V>(row + 2 * x + kStep), even, odd, kIndices);
        const V sum = even * load<V>(columns_.first_weight.data() + x) +
                      odd * load<V>(columns_.second_weight.data() + x);
        store(result + x, V(sum * load<V>(region + x)));
      }
    } else if (pattern_ == Pattern::kSame) {
      for (; x < width; ++x) result[x] = row[x] * region[x];
    }
    for (; x < width; ++x) {
      const T sum = row[columns_.first[x]] * columns_.first_weight[x] +
                    row[columns_.second[x]] * columns_.second_weight[x];
      result[x] = sum * region[x];
    }
  }

  // Spread the gradient of the probabilities over a row of the source: (C, pitch). Returns false
  // where no output reads the row.
  bool spread_gradient(int64_t image, int64_t y, const T* grad, const T* factors, T* weights,
                       T* mixed, T* spread) const {
    const int64_t width = maps_.scaled_width;
    int64_t rows[2];
    int count = 0;
    const auto add = [&](int64_t row, T weight) {
      if (row == maps_.scaled_height) return;
      const T* const region = scaled_row(maps_.region, image, row);
      for (int64_t x = 0; x < width; ++x) weights[count * width + x] = region[x] * weight;
      rows[count++] = row;
    };
    add(scaled_rows_.first[y], scaled_rows_.first_weight[y]);
    add(scaled_rows_.second[y], scaled_rows_.second_weight[y]);
    if (count == 0) return false;
    for (int64_t k = 0; k < num_classes_; ++k) {
      const T* const from = scaled_row(grad, image * num_classes_ + k, rows[0]);
      const T* const next = scaled_row(grad, image * num_classes_ + k, rows[count - 1]);
      const T factor = factors ? factors[image * num_classes_ + k] : T(1);
      for (int64_t x = 0; x < width; ++x) {
        T sum = from[x] * weights[x];
        if (count == 2) sum = sum + next[x] * weights[width + x];
        mixed[x] = sum * factor;
      }
      enlarge(mixed, spread + k * pitch_);
    }
    return true;
  }

  // The transpose of the interpolation between columns. After the row's last element is a zero.
  void enlarge(const T* row, T* result) const {
    const T* const weight = scaled_columns_.first_weight.data();
    const T* const next_weight = scaled_columns_.second_weight.data();
    const int64_t width = maps_.width;
    int64_t x = 0;
    if (pattern_ == Pattern::kPairs) {
      for (; x + 2 * kStep <= width; x += 2 * kStep) {
        V low, high;
        repeat(load<V>(row + x / 2), low, high, kIndices);
        const V low_weight = load<V>(weight + x) + load<V>(next_weight + x);
        const V high_weight = load<V>(weight + x + kStep) + load<V>(next_weight + x + kStep);
        // Adding 0, as below, makes -0 the same zero there and here.
        store(result + x, V(low * low_weight + T(0)));
        store(result + x + kStep, V(high * high_weight + T(0)));
      }
    } else if (pattern_ == Pattern::kSame) {
      std::memcpy(result, row, width * sizeof(T));
      return;
    }
    for (; x < width; ++x)
      result[x] = row[scaled_columns_.first[x]] * weight[x] +
                  row[scaled_columns_.second[x]] * next_weight[x];
  }

  static constexpr std::make_index_sequence<kStep> kIndices{};

  const ScaledProbabilities<L>& maps_;
  int64_t num_classes_;
  // Of the rows of the source that are in the cache: more than their width, and an odd number of
  // vectors, as those of a power of two share few places of the cache.
  int64_t pitch_;
  Taps<T> rows_, columns_;
  Pattern pattern_;
  Taps<T> scaled_rows_, scaled_columns_;  // the transposes
};

template <class L>
void run_forward(const ScaledProbabilities<L>& maps, ComputeType<L>* result) {
  using Kernels = ProbabilityKernels<L>;
  const Kernels kernels(maps);
  const int64_t num_bands = Kernels::num_bands(maps.scaled_height);
  Team team(int(std::min<int64_t>(maps.num_threads, maps.num_images * num_bands)));
  team.run(
      maps.num_images,
      {{num_bands, [&](int64_t image, int64_t band) { kernels.forward(image, band, result); }}});
}

template <class L>
void run_backward(const ScaledProbabilities<L>& maps, const ComputeType<L>* grad,
                  const ComputeType<L>* factors, L* result) {
  using Kernels = ProbabilityKernels<L>;
  const Kernels kernels(maps);
  const int64_t num_bands = Kernels::num_bands(maps.height);
  Team team(int(std::min<int64_t>(maps.num_threads, maps.num_images * num_bands)));
  team.run(maps.num_images, {{num_bands, [&](int64_t image, int64_t band) {
                                kernels.backward(image, band, grad, factors, result);
                              }}});
}

#define MMSEG_RLOSS_DEFINE_FOR(L)                                               \
  void forward(const ScaledProbabilities<L>& maps, ComputeType<L>* result) {    \
    run_forward(maps, result);                                                  \
  }                                                                             \
  void backward(const ScaledProbabilities<L>& maps, const ComputeType<L>* grad, \
                const ComputeType<L>* factors, L* result) {                     \
    run_backward(maps, grad, factors, result);                                  \
  }
MMSEG_RLOSS_DEFINE_FOR(Float16)
MMSEG_RLOSS_DEFINE_FOR(BFloat16)
MMSEG_RLOSS_DEFINE_FOR(float)
MMSEG_RLOSS_DEFINE_FOR(double)
#undef MMSEG_RLOSS_DEFINE_FOR

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

// From the features of a pixel to the corners of the simplex that encloses it.
#pragma once

#include "point_table.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

// The number of dimensions: known to the compiler, or, for kDim 0, at run time only. kManyDims
// stands for more than kMaxDim.
constexpr int kManyDims = -1;
template <int kDim>
struct Dimension {
  explicit Dimension(int64_t) {}
  static constexpr int value() { return kDim; }
  static constexpr int kMax = kDim;
};
template <>
struct Dimension<0> {
  explicit Dimension(int64_t dim) : dim_(int(dim)) {}
  int value() const {
    if (dim_ < 1 || dim_ > kMaxDim) MMSEG_RLOSS_UNREACHABLE();
    return dim_;
  }
  static constexpr int kMax = kMaxDim;

 private:
  int dim_;
};

template <>
struct Dimension<kManyDims> {
  explicit Dimension(int64_t dim) : dim_(int(dim)) {}
  int value() const { return dim_; }

 private:
  int dim_;
};

// An array of an element for each corner of a simplex, which are one more than dimensions.
template <class V, int kDim>
class PerCorner {
 public:
  explicit PerCorner(int) {}
  MMSEG_RLOSS_INLINE V& operator[](int i) { return values_[i]; }
  MMSEG_RLOSS_INLINE const V& operator[](int i) const { return values_[i]; }

 private:
  V values_[Dimension<kDim>::kMax + 1];
};
template <class V>
class PerCorner<V, kManyDims> {
 public:
  explicit PerCorner(int num_corners) : values_(num_corners) {}
  MMSEG_RLOSS_INLINE V& operator[](int i) { return values_.data()[i]; }
  MMSEG_RLOSS_INLINE const V& operator[](int i) const { return values_.data()[i]; }

 private:
  Buffer<V> values_;
};

// The factor of feature j, which makes the blur a Gaussian of unit variance.
inline double elevation_scale(int dim, int j) {
  return std::sqrt(2.0 / 3.0) * (dim + 1) / std::sqrt(double(j + 1) * (j + 2));
}

// Beyond this coordinate, the position of a pixel in its simplex is rounded to less than 12 bits.
template <class T>
constexpr double kMaxCoordinate = 0x1p-11 / std::numeric_limits<T>::epsilon();

struct Range {
  double low, high;
};

// The range of every feature of one image. Throws std::domain_error where one is not finite.
template <class T>
std::vector<Range> feature_ranges(const Features<T>& features, int64_t image, int64_t num_pixels) {
  constexpr int kStep = kWidth<T>;
  using V = Vector<T, kStep>;
  std::vector<Range> ranges;
  if (features.with_position) {
    const int64_t height = num_pixels / features.width;
    ranges.push_back({0.0, double(T(features.width - 1) / features.position_bandwidth)});
    ranges.push_back({0.0, double(T(height - 1) / features.position_bandwidth)});
  }
  for (int64_t c = 0; c < features.num_planes; ++c) {
    const T* plane = features.planes + (image * features.num_planes + c) * num_pixels;
    V low = broadcast<V>(plane[0]), high = low, odd{};  // odd: zero unless not finite
    int64_t p = 0;
    for (; p + kStep <= num_pixels; p += kStep) {
      const V v = load<V>(plane + p);
      low = select(v < low, v, low);
      high = select(v > high, v, high);
      odd += v - v;
    }
    Range range{plane[0], plane[0]};
    T rest = 0;
    for (int l = 0; l < kStep; ++l) {
      range.low = std::min(range.low, double(low[l]));
      range.high = std::max(range.high, double(high[l]));
      rest += odd[l];
    }
    for (; p < num_pixels; ++p) {
      range.low = std::min(range.low, double(plane[p]));
      range.high = std::max(range.high, double(plane[p]));
      rest += plane[p] - plane[p];
    }
    if (!(rest == 0)) throw std::domain_error("must be finite, but NaN or infinity is among them");
    ranges.push_back(
        {double(T(range.low) / features.bandwidth), double(T(range.high) / features.bandwidth)});
  }
  return ranges;
}

// How many values each coordinate of the lattice points can take, neighbours included; empty where
// they outgrow T.
template <class T>
std::vector<double> coordinate_extents(const std::vector<Range>& ranges) {
  const int dim = int(ranges.size());
  std::vector<double> extents;
  for (int i = 0; i < dim; ++i) {
    double low = 0, high = 0, largest = 0;
    for (int j = 1; j <= dim; ++j) {
      const auto coefficient = [j](int row) { return row < j ? 1.0 : row == j ? -double(j) : 0.0; };
      const double factor =
          (coefficient(i) - coefficient(dim)) * elevation_scale(dim, j - 1) / (dim + 1);
      const double a = factor * ranges[j - 1].low, b = factor * ranges[j - 1].high;
      low += std::min(a, b);
      high += std::max(a, b);
      largest += std::max(std::fabs(a), std::fabs(b));
    }
    if (!(largest < kMaxCoordinate<T>)) return {};
    // Vertices lie between floor(low) and floor(high) + 1, and the neighbours that they are
    // compared with one beyond: + 3 in exact arithmetic. The rest is room for rounding.
    extents.push_back(std::ceil(high) - std::floor(low) + 7);
  }
  return extents;
}

// The strides of a mixed radix, for the D coordinates and, last, for the axis (-1, ..., -1).
template <class Key>
std::vector<Key> make_strides(const std::vector<double>& extents) {
  std::vector<Key> strides;
  Key stride = 1, sum = 0;
  for (const double extent : extents) {
    strides.push_back(stride);
    sum += stride;
    stride *= Key(extent);
  }
  strides.push_back(Key(0) - sum);
  return strides;
}

template <>
inline std::vector<KeyWide> make_strides<KeyWide>(const std::vector<double>& extents) {
  uint64_t state = 0;
  const auto random_odd = [&state] {  // SplitMix64, seeded the same in every call
    uint64_t x = state += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (x ^ (x >> 31)) | 1;
  };
  std::vector<KeyWide> strides;
  KeyWide last{0, 0};
  for (size_t i = 0; i < extents.size(); ++i) {
    strides.push_back({random_odd(), random_odd()});
    last -= strides.back();
  }
  strides.push_back(last);
  return strides;
}

// The corners of the simplices of kLanes pixels.
template <class T, int kDim, class Key>
struct Simplices {
  explicit Simplices(int num_corners) : key(num_corners), barycentric(num_corners) {}
  PerCorner<std::array<Key, kLanes<T>>, kDim> key;
  PerCorner<std::array<T, kLanes<T>>, kDim> barycentric;
};

// Embeds the pixels of one image, kLanes at a time.
template <class T, int kDim, class Key>
class Embedding {
 public:
  Embedding(const Features<T>& features, int64_t image, int64_t num_pixels,
            const std::vector<Key>& strides)
      : features_(features),
        dim_(features.dim()),
        planes_(features.planes + image * features.num_planes * num_pixels),
        num_pixels_(num_pixels),
        scale_(num_corners()),
        stride_(num_corners()) {
    for (int j = 0; j < dim_.value(); ++j) scale_[j] = T(elevation_scale(dim_.value(), j));
    for (int i = 0; i <= dim_.value(); ++i) stride_[i] = strides[i];
  }

  // The simplices of the pixels [first, first + kLanes); those past the image repeat its last one.
  MMSEG_RLOSS_INLINE void embed(int64_t first, Simplices<T, kDim, Key>& simplices) const {
    for (int lane = 0; lane < kLanes<T>; lane += kStep) embed_vector(first + lane, lane, simplices);
  }

  int num_corners() const { return dim_.value() + 1; }

 private:
  static constexpr int kStep = kWidth<T>;
  using V = Vector<T, kStep>;

  // The simplices of the pixels [first, first + kStep), from a lane on.
  MMSEG_RLOSS_INLINE void embed_vector(int64_t first, int lane,
                                       Simplices<T, kDim, Key>& simplices) const {
    const int dim = dim_.value();
    PerCorner<V, kDim> elevated(dim + 1), nearest(dim + 1), remainder(dim + 1);
    V total{};
    for (int j = dim; j > 0; --j) {
      const V scaled = feature(j - 1, first) * scale_[j - 1];
      elevated[j] = total - scaled * T(j);
      total = total + scaled;
    }
    elevated[0] = total;

    const T down = T(1.0 / (dim + 1));
    for (int i = 0; i <= dim; ++i) {
      nearest[i] = round_to_even<T>(elevated[i] * down);
      remainder[i] = elevated[i] - nearest[i] * T(dim + 1);
    }
    if constexpr (std::is_same_v<Key, UnsignedLike<T>>) {
      // Sort the remainders and carry along the strides of their axes.
      using Keys = Vector<Key, kStep>;
      PerCorner<Keys, kDim> stride(dim + 1);
      Keys key{};
      for (int i = 0; i <= dim; ++i) {
        stride[i] = broadcast<Keys>(stride_[i]);
        const auto whole = convert<Vector<SignedLike<T>, kStep>>(nearest[i]);
        key += bits_as<Keys>(whole) * stride[i];
      }
      sort_descending(remainder, stride);
      store(simplices.key[0].data() + lane, key);
      for (int t = 1; t <= dim; ++t) {
        key -= stride[dim + 1 - t];
        store(simplices.key[t].data() + lane, key);
      }
    } else {
      // The same with the axes themselves, where the keys are wider than a lane.
      PerCorner<Vector<UnsignedLike<T>, kStep>, kDim> axis(dim + 1);
      for (int i = 0; i <= dim; ++i)
        axis[i] = broadcast<Vector<UnsignedLike<T>, kStep>>(UnsignedLike<T>(i));
      sort_descending(remainder, axis);
      for (int l = 0; l < kStep; ++l) {
        Key key{};
        for (int i = 0; i <= dim; ++i) key += int64_t(nearest[i][l]) * stride_[i];
        simplices.key[0][lane + l] = key;
        for (int t = 1; t <= dim; ++t) {
          key -= stride_[axis[dim + 1 - t][l]];
          simplices.key[t][lane + l] = key;
        }
      }
    }

    // The weights are the gaps between neighbouring sorted remainders, around the circle.
    for (int i = 0; i <= dim; ++i) remainder[i] = remainder[i] * down;
    store(simplices.barycentric[0].data() + lane, V(remainder[dim] + (T(1) - remainder[0])));
    for (int t = 1; t <= dim; ++t)
      store(simplices.barycentric[t].data() + lane, V(remainder[dim - t] - remainder[dim + 1 - t]));
  }

  MMSEG_RLOSS_INLINE V feature(int j, int64_t first) const {
    if (features_.with_position) {
      if (j < 2) return position(j, first) / features_.position_bandwidth;
      j -= 2;
    }
    const T* plane = planes_ + j * num_pixels_;
    if (first + kStep <= num_pixels_) return load<V>(plane + first) / features_.bandwidth;
    V v{};
    for (int l = 0; l < kStep; ++l) v[l] = plane[std::min(first + l, num_pixels_ - 1)];
    return v / features_.bandwidth;
  }

  // The columns (j = 0) or rows (j = 1) of kStep pixels.
  MMSEG_RLOSS_INLINE V position(int j, int64_t first) const {
    const int64_t row = first / features_.width, column = first % features_.width;
    V v{};
    if (column + kStep <= features_.width && first + kStep <= num_pixels_) {
      for (int l = 0; l < kStep; ++l) v[l] = T(j == 0 ? column + l : row);
      return v;
    }
    for (int l = 0; l < kStep; ++l) {
      const int64_t pixel = std::min(first + l, num_pixels_ - 1);
      v[l] = T(j == 0 ? pixel % features_.width : pixel / features_.width);
    }
    return v;
  }

  // Insertion sort, the same comparisons for all lanes. It swaps neighbours alone and only if they
  // differ, so equal remainders keep the order of their axes.
  template <class Payload>
  MMSEG_RLOSS_INLINE void sort_descending(PerCorner<V, kDim>& value,
                                          PerCorner<Payload, kDim>& payload) const {
    for (int i = 1; i <= dim_.value(); ++i) {
      for (int j = i; j > 0; --j) {
        const auto swap = value[j - 1] < value[j];
        const V high = select(swap, value[j], value[j - 1]);
        value[j] = select(swap, value[j - 1], value[j]);
        value[j - 1] = high;
        const Payload first = select(swap, payload[j], payload[j - 1]);
        payload[j] = select(swap, payload[j - 1], payload[j]);
        payload[j - 1] = first;
      }
    }
  }

  Features<T> features_;
  Dimension<kDim> dim_;
  const T* planes_;  // (C, P) of this image
  int64_t num_pixels_;
  PerCorner<T, kDim> scale_;  // but for the last
  PerCorner<Key, kDim> stride_;
};

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

// Mean-field inference for one instruction set, in the namespace that MMSEG_RLOSS_ISA names.
//
// All channels of a pixel or a lattice point lie together in a row from the first iteration to the
// last. An iteration goes through the pixels once, tile by tile, in blocks that stay in the
// first-level cache: what was filtered is sliced and added to the log-probabilities, and the
// marginals, their softmax, are splatted at once for the next iteration. They are never stored.
#include "../lattice/points.hpp"
#include "../probabilities/exp.hpp"
#include "mean_field.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

struct Larger {
  template <class V>
  MMSEG_RLOSS_INLINE V operator()(const V& a, const V& b) const {
    return select(a > b, a, b);
  }
};

struct Plus {
  template <class V>
  MMSEG_RLOSS_INLINE V operator()(const V& a, const V& b) const {
    return a + b;
  }
};

// Combine the elements of each of eight rows (8, width), always in the same order.
template <class T, class F>
MMSEG_RLOSS_INLINE Vector<T, kGroup> reduce_rows(const T* rows, int64_t width, F combine) {
  using V = Vector<T, kGroup>;
  V v[kGroup];
  for (int i = 0; i < kGroup; ++i) {
    v[i] = load<V>(rows + i * width);
    for (int64_t c = kGroup; c < width; c += kGroup)
      v[i] = combine(v[i], load<V>(rows + i * width + c));
  }
  transpose8(v);
  return combine(combine(combine(v[0], v[1]), combine(v[2], v[3])),
                 combine(combine(v[4], v[5]), combine(v[6], v[7])));
}

// Softmax of rows (count, width) in place, where both are multiples of eight.
template <class T>
MMSEG_RLOSS_INLINE void softmax_rows(T* rows, int64_t count, int64_t width) {
  using V = Vector<T, kGroup>;
  for (int64_t p = 0; p < count; p += kGroup) {
    T* const first = rows + p * width;
    const V largest = reduce_rows(first, width, Larger());
    for (int i = 0; i < kGroup; ++i)
      for (int64_t c = 0; c < width; c += kGroup)
        store(first + i * width + c, V(load<V>(first + i * width + c) - largest[i]));
  }
  using Wide = Vector<T, kWidth<T>>;
  for (int64_t i = 0; i < count * width; i += kWidth<T>)
    store(rows + i, exp_of_negative(load<Wide>(rows + i)));
  for (int64_t p = 0; p < count; p += kGroup) {
    T* const first = rows + p * width;
    const V inverse = T(1) / reduce_rows(first, width, Plus());
    for (int i = 0; i < kGroup; ++i)
      for (int64_t c = 0; c < width; c += kGroup)
        store(first + i * width + c, V(load<V>(first + i * width + c) * inverse[i]));
  }
}

// kGroups is the number of groups of channels where there are up to kMaxGroups, else 0.
template <class T, int kGroups>
class ImageMeanField {
 public:
  ImageMeanField(const MeanField<T>& problem, int64_t image)
      : problem_(problem),
        image_(image),
        groups_((problem.num_channels + kGroup - 1) / kGroup),
        log_probabilities_(problem.num_pixels * width()) {
    for (const auto& kernel : problem.kernels)
      kernels_.emplace_back(kernel, kernel.lattice->images.size() == 1 ? 0 : image, width());
  }

  // Filter a kernel's part of the marginals that the tiles have splatted.
  void blur(int64_t kernel) {
    Kernel& k = kernels_[kernel];
    const auto& lattice = k.lattice;
    std::fill_n(k.rows[0].data(), lattice.num_points * width(), T(0));
    for (size_t t = 0; t < lattice.tiles.size(); ++t)
      add_tile(lattice.tiles[t], k.splatted.data() + k.offsets[t], width(), k.rows[0].data());
    for (int axis = 0; axis < k.num_corners; ++axis)
      for_each_band([&](int64_t channel, auto groups) {
        blur_axis<T, decltype(groups)::value>(lattice, axis, k.rows[axis % 2].data() + channel,
                                              k.rows[1 - axis % 2].data() + channel, width());
      });
  }

  // Compute the marginals of a tile from what was blurred, or the first from nothing, and splat
  // them or, at last, write them.
  void update_tile(int64_t tile, bool is_first, bool is_last) {
    // Of each kernel, in memory of this tile alone, which stays in the cache.
    std::vector<Buffer<T>> blurred;
    for (Kernel& k : kernels_) {
      if (!is_first) blurred.push_back(k.blurred_at(tile, width()));
      if (!is_last) k.clear(tile, width());
    }
    const Buffer<T> block_rows(kBlock * width());
    T* const rows = block_rows.data();
    std::fill_n(rows, kBlock * width(), T(0));  // those after a tile's last pixel count as well
    const auto [begin, end] = pixels(tile);
    for (int64_t block = begin; block < end; block += kBlock) {
      const int64_t count = std::min(kBlock, end - block);
      T* const unary = log_probabilities_.data() + block * width();
      const int64_t later = block + kAhead;
      const bool has_later = !is_first && later + kBlock <= end;
      if (has_later) prefetch_part<0>(tile, later);
      if (is_first) {
        read_planes(block, count, unary);
        std::copy_n(unary, count * width(), rows);
      } else {
        for (size_t k = 0; k < kernels_.size(); ++k)
          slice_block(kernels_[k], blurred[k].data(), tile, block, count, k == 0 ? unary : rows,
                      rows);
      }
      if (has_later) prefetch_part<1>(tile, later);
      softmax_rows(rows, (count + kGroup - 1) / kGroup * kGroup, width());
      if (has_later) prefetch_part<2>(tile, later);
      if (is_last) {
        write_planes(block, count, rows);
      } else {
        for (Kernel& k : kernels_) splat_block(k, tile, block, count, rows);
      }
    }
  }

 private:
  // A kernel's rows at the lattice points of the image and of its tiles.
  struct Kernel {
    Kernel(const WeightedKernel<T>& kernel, int64_t image, int64_t width)
        : lattice(kernel.lattice->images[image]),
          num_corners(kernel.lattice->num_corners),
          norms(kernel.norms + image * kernel.lattice->num_pixels),
          factor(kernel.weight * inverse_gain<T>(num_corners)) {
      int64_t size = 0;
      for (const auto& tile : lattice.tiles) {
        offsets.push_back(size);
        size += int64_t(tile.to_image.size()) * width;
      }
      splatted = Buffer<T>(size);
      for (auto& buffer : rows) {
        buffer = Buffer<T>((lattice.num_points + 1) * width);
        std::fill_n(buffer.data() + lattice.num_points * width, width, T(0));
      }
    }

    void clear(int64_t tile, int64_t width) {
      const auto count = int64_t(lattice.tiles[tile].to_image.size());
      std::fill_n(splatted.data() + offsets[tile], count * width, T(0));
    }

    // What was blurred, at the lattice points of a tile (points, width).
    Buffer<T> blurred_at(int64_t tile, int64_t width) const {
      const T* const from = rows[num_corners % 2].data();
      const auto& points = lattice.tiles[tile].to_image;
      Buffer<T> blurred(points.size() * width);
      T* to = blurred.data();
      for (const int32_t point : points) {
        for (int64_t c = 0; c < width; ++c) to[c] = from[point * width + c] * factor;
        to += width;
      }
      return blurred;
    }

    const ImageLattice<T>& lattice;
    int num_corners;
    const T* norms;                // (P)
    T factor;                      // of what is sliced
    std::vector<int64_t> offsets;  // of the tiles in what follows
    Buffer<T> splatted;            // (points of all tiles, width)
    Buffer<T> rows[2];             // (points + 1, width): before and after the blur along an axis
  };

  // Ask for what a block will read, in three parts of about the same size: the processor keeps
  // track of so many requests alone.
  template <int kPart>
  MMSEG_RLOSS_INLINE void prefetch_part(int64_t tile, int64_t block) const {
    const auto prefetch_kernel = [&](const Kernel& k) {
      const auto& t = k.lattice.tiles[tile];
      prefetch_corners(t.corners, k.num_corners, block - t.begin);
    };
    const int64_t half = kBlock * width() / 2;
    const T* const unary = log_probabilities_.data() + block * width();
    if constexpr (kPart == 0) {
      prefetch(unary, half);
    } else if constexpr (kPart == 1) {
      prefetch_kernel(kernels_[0]);
    } else {
      prefetch(unary + half, half);
      for (size_t k = 1; k < kernels_.size(); ++k) prefetch_kernel(kernels_[k]);
    }
  }

  int64_t width() const { return (kGroups ? kGroups : groups_) * kGroup; }

  // Calls f with the first channel and the number of groups of channels that are handled together.
  template <class F>
  MMSEG_RLOSS_INLINE void for_each_band(F&& f) const {
    if constexpr (kGroups > 0) {
      f(int64_t(0), std::integral_constant<int, kGroups>{});
    } else {
      for (int64_t g = 0; g < groups_; g += kMaxGroups)
        with_groups(groups_ - g, [&](auto groups) { f(g * kGroup, groups); });
    }
  }

  // Calls f with the number of corners of the usual lattices, known at compile time, else 0.
  template <class F>
  MMSEG_RLOSS_INLINE static void with_corners(int num_corners, F&& f) {
    if constexpr (sizeof(T) == 4) {  // position, grey and colour images in their usual type
      switch (num_corners) {
        case 3: return f(std::integral_constant<int, 3>{});
        case 4: return f(std::integral_constant<int, 4>{});
        case 6: return f(std::integral_constant<int, 6>{});
      }
    }
    f(std::integral_constant<int, 0>{});
  }

  std::pair<int64_t, int64_t> pixels(int64_t tile) const {
    if (kernels_.empty()) return {0, problem_.num_pixels};
    const auto& t = kernels_[0].lattice.tiles[tile];
    return {t.begin, t.end};
  }

  Channels<T> channels_of(T* tensor, int64_t first) const {
    const int64_t count = std::min<int64_t>(problem_.num_channels - first, kGroup * kMaxGroups);
    const int64_t plane = image_ * problem_.num_channels + first;
    return {tensor + plane * problem_.num_pixels, int(count), problem_.num_pixels};
  }

  void read_planes(int64_t block, int64_t count, T* rows) const {
    for_each_band([&](int64_t channel, auto groups) {
      // They are read alone. What pads a row has no probability.
      const auto planes = channels_of(const_cast<T*>(problem_.log_probabilities), channel);
      gather_rows<T, decltype(groups)::value>(
          planes, block, count, -std::numeric_limits<T>::infinity(), rows + channel, width());
    });
  }

  void write_planes(int64_t block, int64_t count, const T* rows) const {
    for_each_band([&](int64_t channel, auto groups) {
      scatter_rows<T, decltype(groups)::value>(rows + channel, width(),
                                               channels_of(problem_.result, channel), block, count);
    });
  }

  // result = rows + norms * what is sliced
  void slice_block(const Kernel& k, const T* points, int64_t tile, int64_t block, int64_t count,
                   const T* rows, T* result) const {
    const auto& t = k.lattice.tiles[tile];
    const auto corners = corners_at(t.corners, k.num_corners, block - t.begin);
    const T* const norms = k.norms + block;
    with_corners(k.num_corners, [&](auto num_corners) {
      for_each_band([&](int64_t channel, auto groups) {
        using R = Row<T, decltype(groups)::value>;
        slice_rows<T, decltype(num_corners)::value, decltype(groups)::value>(
            points + channel, width(), corners, k.num_corners, count,
            [&](int64_t p, const R& sliced) {
              R row = R::read(rows + p * width() + channel);
              row.add(sliced, norms[p]);
              row.write(result + p * width() + channel);
            });
      });
    });
  }

  void splat_block(Kernel& k, int64_t tile, int64_t block, int64_t count, const T* rows) const {
    const auto& t = k.lattice.tiles[tile];
    const auto corners = corners_at(t.corners, k.num_corners, block - t.begin);
    T* const points = k.splatted.data() + k.offsets[tile];
    const T* const norms = k.norms + block;
    with_corners(k.num_corners, [&](auto num_corners) {
      for_each_band([&](int64_t channel, auto groups) {
        using R = Row<T, decltype(groups)::value>;
        splat_rows<T, decltype(num_corners)::value, decltype(groups)::value>(
            [&](int64_t p) {
              R row = R::read(rows + p * width() + channel);
              row.scale(norms[p]);
              return row;
            },
            corners, k.num_corners, count, points + channel, width());
      });
    });
  }

  const MeanField<T>& problem_;
  int64_t image_;
  int64_t groups_;
  Buffer<T> log_probabilities_;  // (P, width)
  std::vector<Kernel> kernels_;
};

template <class T, int kGroups>
void infer_batch(const MeanField<T>& problem) {
  using Image = ImageMeanField<T, kGroups>;
  const auto& kernels = problem.kernels;
  const auto num_kernels = int64_t(kernels.size());
  const auto tiles = num_kernels ? int64_t(kernels[0].lattice->images[0].tiles.size()) : 1;
  const int64_t iterations = num_kernels ? problem.iterations : 0;
  std::vector<std::unique_ptr<Image>> images(problem.num_images);  // those that are under way
  std::vector<Step> steps;
  steps.push_back(
      {1, [&](int64_t n, int64_t) { images[n] = std::make_unique<Image>(problem, n); }});
  for (int64_t i = 0; i <= iterations; ++i) {
    if (i > 0) steps.push_back({num_kernels, [&](int64_t n, int64_t k) { images[n]->blur(k); }});
    steps.push_back({tiles, [&images, i, iterations](int64_t n, int64_t tile) {
                       images[n]->update_tile(tile, i == 0, i == iterations);
                     }});
  }
  steps.push_back({1, [&](int64_t n, int64_t) { images[n].reset(); }});
  Team team(problem.num_threads);
  team.run(problem.num_images, steps);
}

template <class T>
void infer_any(const MeanField<T>& problem) {
  if (problem.num_channels > kGroup * kMaxGroups) return infer_batch<T, 0>(problem);
  with_groups((problem.num_channels + kGroup - 1) / kGroup,
              [&](auto groups) { infer_batch<T, decltype(groups)::value>(problem); });
}

void infer(const MeanField<float>& problem) { infer_any(problem); }
void infer(const MeanField<double>& problem) { infer_any(problem); }

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

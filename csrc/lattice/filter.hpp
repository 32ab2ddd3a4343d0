// The whole filter for one instruction set, in the namespace that MMSEG_RLOSS_ISA names.
//
// An image is cut into tiles of pixels; their number depends on the size of the image alone, so
// that every sum is formed in the same order whatever the number of threads. Each tile numbers the
// lattice points that it meets in a small table of its own and splats onto them; the tables are
// then merged into the lattice of the image, on which the blur runs.
#include "channels.hpp"
#include "embedding.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

// An array whose elements are not set.
template <class T>
class Buffer {
 public:
  explicit Buffer(size_t size) : data_(static_cast<T*>(allocate(size * sizeof(T)))) {}
  T* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* data) const { release(data); }
  };
  std::unique_ptr<T[], Free> data_;
};

constexpr int64_t kTilePixels = 16384;

template <class T, class Key>
struct Tile {
  int64_t begin, end;             // pixels
  Corners<T> corners;             // of these pixels
  std::vector<Key> keys;          // of the tile's lattice points
  std::vector<int32_t> to_image;  // the tile's lattice points among the image's
  Buffer<T> rows;                 // (points of the tile, width): splatted, later blurred
};

template <class T, int kDim, class Key>
class ImageFilter {
 public:
  ImageFilter(const Filter<T>& filter, int64_t image, const std::vector<Key>& strides)
      : filter_(filter),
        image_(image),
        num_corners_(int(filter.features.dim()) + 1),
        strides_(strides),
        embedding_(filter.features, image, filter.num_pixels, strides_) {
    const int64_t count = num_tiles(filter.num_pixels);
    const int64_t blocks = (filter.num_pixels + kBlock - 1) / kBlock;
    constexpr size_t kCornerSize = sizeof(int32_t) + sizeof(T);
    corners_ = Buffer<std::byte>(size_t(blocks * kBlock * num_corners_) * kCornerSize);
    std::byte* next = corners_.data();
    for (int64_t t = 0; t < count; ++t) {
      const int64_t begin = blocks * t / count * kBlock;
      const int64_t end = std::min(filter.num_pixels, blocks * (t + 1) / count * kBlock);
      const size_t size = size_t((end - begin + kBlock - 1) / kBlock * kBlock * num_corners_);
      auto* const point = reinterpret_cast<int32_t*>(next);
      auto* const barycentric = reinterpret_cast<T*>(next + size * sizeof(int32_t));
      tiles_.push_back({begin, end, {point, barycentric}, {}, {}, Buffer<T>(0)});
      next += size * kCornerSize;
    }
  }

  static int64_t num_tiles(int64_t num_pixels) {
    return std::max<int64_t>(1, (num_pixels + kTilePixels / 2) / kTilePixels);
  }
  int num_axes() const { return num_corners_; }

  // Find the simplices of a tile's pixels and number their corners.
  void embed(int64_t t) {
    auto& tile = tiles_[t];
    PointTable<Key> table((tile.end - tile.begin) / 4);
    Simplices<T, kDim, Key> simplices;
    auto [point, barycentric] = tile.corners;
    for (int64_t p = tile.begin; p < tile.end; p += kLanes<T>) {
      embedding_.embed(p, simplices);
      for (int c = 0; c < num_corners_; ++c, point += kLanes<T>, barycentric += kLanes<T>) {
        table.insert(simplices.key[c], kLanes<T>, point);
        store(barycentric, simplices.barycentric[c]);
      }
    }
    tile.keys = table.keys();
  }

  // Number the lattice points of the image.
  void merge() {
    size_t total = 0;
    for (const auto& tile : tiles_) total += tile.keys.size();
    table_ = std::make_unique<PointTable<Key>>(total);
    for (auto& tile : tiles_) {
      tile.to_image.resize(tile.keys.size());
      table_->insert(tile.keys.data(), int64_t(tile.keys.size()), tile.to_image.data());
    }
    neighbours_ = std::make_unique<Buffer<int32_t>>(size_t(num_axes()) * 2 * num_points());
  }

  // Find the neighbours of all points along an axis.
  void link(int64_t axis) {
    const int32_t absent = int32_t(num_points());
    int32_t* const after = neighbours(axis);
    int32_t* const before = after + num_points();
    std::fill_n(before, num_points(), absent);
    for (int64_t i = 0; i < num_points(); ++i) {
      Key key = table_->keys()[i];
      key += strides_[axis];
      const int32_t next = table_->find(key);
      after[i] = next == PointTable<Key>::kAbsent ? absent : next;
      if (next != PointTable<Key>::kAbsent) before[next] = int32_t(i);
    }
  }

  // Choose the group of channels that is next.
  void select_channels(int64_t first) {
    first_channel_ = first;
    channel_count_ = int(std::min<int64_t>(kGroup * kMaxGroups, filter_.num_channels - first));
    width_ = (channel_count_ + kGroup - 1) / kGroup * kGroup;
  }

  void splat_tile(int64_t t) {
    auto& tile = tiles_[t];
    tile.rows = Buffer<T>(tile.keys.size() * width_);
    std::fill_n(tile.rows.data(), tile.keys.size() * width_, T(0));
    // The values are read alone.
    const auto channels = channels_of(const_cast<T*>(filter_.values));
    with_groups([&](auto groups) {
      splat<T, kCorners, decltype(groups)::value>(channels, tile.corners, num_corners_, tile.begin,
                                                  tile.end, tile.rows.data());
    });
  }

  // Sum the tiles and blur along all axes, in one of the two orders.
  void blur(bool descending) {
    Order& order = orders_[descending];
    for (auto& buffer : order.rows) buffer = Buffer<T>(size_t(num_points() + 1) * width_);
    T* rows = order.rows[0].data();
    T* next = order.rows[1].data();
    std::fill_n(rows, (num_points() + 1) * width_, T(0));
    std::fill_n(next + num_points() * width_, width_, T(0));  // where a neighbour is absent
    for (const auto& tile : tiles_) {
      const T* from = tile.rows.data();
      for (const int32_t point : tile.to_image) {
        T* to = rows + int64_t(point) * width_;
        for (int c = 0; c < width_; ++c) to[c] += from[c];
        from += width_;
      }
    }
    check_finite(rows);
    for (int a = 0; a < num_axes(); ++a) {
      blur_axis(descending ? num_axes() - 1 - a : a, rows, next);
      std::swap(rows, next);
    }
    order.blurred = rows;
  }

  void slice_tile(int64_t t) {
    auto& tile = tiles_[t];
    gather_blurred(tile);
    const auto channels = channels_of(filter_.result);
    with_groups([&](auto groups) {
      slice<T, kCorners, decltype(groups)::value>(tile.rows.data(), tile.corners, num_corners_,
                                                  tile.begin, tile.end, channels);
    });
  }

 private:
  static constexpr int kCorners = kDim == 0 ? 0 : kDim + 1;

  struct Order {
    Buffer<T> rows[2] = {Buffer<T>(0), Buffer<T>(0)};  // (points + 1, width)
    const T* blurred = nullptr;
  };

  int64_t num_points() const { return int64_t(table_->keys().size()); }
  int32_t* neighbours(int64_t axis) const { return neighbours_->data() + axis * 2 * num_points(); }

  Channels<T> channels_of(T* tensor) const {
    const int64_t first = image_ * filter_.num_channels + first_channel_;
    return {tensor + first * filter_.num_pixels, channel_count_, filter_.num_pixels};
  }

  template <class F>
  void with_groups(F&& f) const {
    switch (width_ / kGroup) {
      case 1: return f(std::integral_constant<int, 1>{});
      case 2: return f(std::integral_constant<int, 2>{});
      case 3: return f(std::integral_constant<int, 3>{});
      default: return f(std::integral_constant<int, 4>{});
    }
  }

  // Every value that is not finite makes some lattice point so.
  void check_finite(const T* rows) const {
    using V = Vector<T, kGroup>;
    V odd{};
    for (int64_t i = 0; i < num_points() * width_; i += kGroup) {
      const V v = load<V>(rows + i);
      odd += v - v;
    }
    for (int l = 0; l < kGroup; ++l)
      if (!(odd[l] == 0))
        throw std::invalid_argument("must be finite, but NaN or infinity is among them");
  }

  void blur_axis(int axis, const T* rows, T* next) const {
    const int32_t* after = neighbours(axis);
    const int32_t* before = after + num_points();
    with_groups([&](auto groups) {
      constexpr int kWidth = kGroup * decltype(groups)::value;
      using R = Row<T, decltype(groups)::value>;
      for (int64_t i = 0; i < num_points(); ++i) {
        R sum = R::read(rows + int64_t(after[i]) * kWidth);
        sum.add(R::read(rows + int64_t(before[i]) * kWidth), T(1));
        R row = R::read(rows + i * kWidth);
        row.add(sum, T(0.5));
        row.write(next + i * kWidth);
      }
    });
  }

  // Bring the blurred points back to the tile, as the mean of the orders and scaled.
  void gather_blurred(Tile<T, Key>& tile) const {
    const T gain = T(1.0 / (1.0 + std::pow(2.0, 1 - num_corners_)));
    T* to = tile.rows.data();
    for (const int32_t point : tile.to_image) {
      const int64_t at = int64_t(point) * width_;
      if (filter_.blur == Blur::kBoth) {
        const T *a = orders_[0].blurred + at, *b = orders_[1].blurred + at;
        for (int c = 0; c < width_; ++c) to[c] = (a[c] + b[c]) * (T(0.5) * gain);
      } else {
        const T* a = orders_[filter_.blur == Blur::kDescending].blurred + at;
        for (int c = 0; c < width_; ++c) to[c] = a[c] * gain;
      }
      to += width_;
    }
  }

  const Filter<T>& filter_;
  int64_t image_;
  int num_corners_;
  std::vector<Key> strides_;
  Embedding<T, kDim, Key> embedding_;
  // One piece of memory for all tiles, larger than everything else: the allocator keeps up to twice
  // its size from call to call, while it would return many pieces and have them cleared anew.
  Buffer<std::byte> corners_{0};
  std::vector<Tile<T, Key>> tiles_;
  std::unique_ptr<PointTable<Key>> table_;
  std::unique_ptr<Buffer<int32_t>> neighbours_;  // (axes, 2, points)
  int64_t first_channel_ = 0;
  int channel_count_ = 0, width_ = 0;
  Order orders_[2];  // ascending, descending
};

// Adds the processor time that its thread takes while it lives.
class StageTimer {
 public:
  explicit StageTimer(std::atomic<int64_t>& nanoseconds) : nanoseconds_(nanoseconds) {}
  ~StageTimer() { nanoseconds_ += now() - start_; }

 private:
  static int64_t now() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return int64_t(time.tv_sec) * 1000000000 + time.tv_nsec;
  }

  std::atomic<int64_t>& nanoseconds_;
  int64_t start_ = now();
};

template <class T, int kDim, class Key>
void filter_batch(const Filter<T>& filter, Team& team, const std::vector<double>& extents) {
  using Image = ImageFilter<T, kDim, Key>;
  const auto strides = make_strides<Key>(extents);
  std::vector<std::unique_ptr<Image>> images(filter.num_images);  // those that are under way
  const int64_t tiles = Image::num_tiles(filter.num_pixels);
  std::vector<Step> steps;
  const auto step = [&](int64_t num_tasks, auto&& task) {
    steps.push_back({num_tasks, [&images, task](int64_t n, int64_t i) { task(*images[n], i); }});
  };
  const auto timed = [&](Stage stage, auto&& task) {
    return [&filter, stage, task](Image& image, int64_t i) {
      const StageTimer timer(filter.stage_nanoseconds[stage]);
      task(image, i);
    };
  };
  const auto embed = timed(kEmbed, [](Image& image, int64_t t) { image.embed(t); });
  const auto merge = timed(kNeighbours, [](Image& image, int64_t) { image.merge(); });
  const auto link = timed(kNeighbours, [](Image& image, int64_t axis) { image.link(axis); });
  const auto splat = timed(kSplat, [](Image& image, int64_t t) { image.splat_tile(t); });
  const auto blur = timed(kBlur, [&](Image& image, int64_t order) {
    image.blur(filter.blur == Blur::kBoth ? order == 1 : filter.blur == Blur::kDescending);
  });
  const auto slice = timed(kSlice, [](Image& image, int64_t t) { image.slice_tile(t); });

  steps.push_back({1, [&](int64_t n, int64_t) {
                     images[n] = std::make_unique<Image>(filter, n, strides);
                   }});
  for (int64_t c = 0; c < filter.num_channels; c += kGroup * kMaxGroups) {
    step(1, [c](Image& image, int64_t) { image.select_channels(c); });
    if (c == 0) {
      // A tile is splatted while its corners are still in the cache.
      step(tiles, [=](Image& image, int64_t t) { embed(image, t), splat(image, t); });
      step(1, merge);
      step(int64_t(strides.size()), link);
    } else {
      step(tiles, splat);
    }
    step(filter.blur == Blur::kBoth ? 2 : 1, blur);
    step(tiles, slice);
  }
  steps.push_back({1, [&](int64_t n, int64_t) { images[n].reset(); }});
  team.run(filter.num_images, steps);
}

// The narrowest key that tells all points within the extents apart.
template <class T, int kDim>
void filter_with_key(const Filter<T>& filter, Team& team, const std::vector<double>& extents) {
  double bits = 0;
  for (const double extent : extents) bits += std::log2(extent);
  if (bits < 31.9 && sizeof(T) == 4) return filter_batch<T, kDim, Key32>(filter, team, extents);
  if (bits < 63.9) return filter_batch<T, kDim, Key64>(filter, team, extents);
  return filter_batch<T, kDim, KeyWide>(filter, team, extents);
}

// The extents that hold all images, none where some image's coordinates outgrow T.
template <class T>
std::vector<double> batch_extents(const Filter<T>& filter, Team& team) {
  std::vector<std::vector<double>> extents(filter.num_images);
  const auto find_extents = [&](int64_t n, int64_t) {
    extents[n] = coordinate_extents<T>(feature_ranges(filter.features, n, filter.num_pixels));
  };
  team.run(filter.num_images, {{1, find_extents}});
  for (const auto& image : extents) {
    if (image.empty()) return {};
    for (size_t i = 0; i < image.size(); ++i) extents[0][i] = std::max(extents[0][i], image[i]);
  }
  return extents[0];
}

template <class T>
bool run_filter(const Filter<T>& filter) {
  Team team(filter.num_threads);
  const auto extents = batch_extents(filter, team);
  if (extents.empty()) return false;
  if constexpr (sizeof(T) == 4) {  // the cases of grey and colour images in their usual type
    if (extents.size() == 3) return filter_with_key<T, 3>(filter, team, extents), true;
    if (extents.size() == 5) return filter_with_key<T, 5>(filter, team, extents), true;
  }
  filter_with_key<T, 0>(filter, team, extents);
  return true;
}

bool run(const Filter<float>& filter) { return run_filter(filter); }
bool run(const Filter<double>& filter) { return run_filter(filter); }

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

// Filtering on a lattice for one instruction set, in the namespace that MMSEG_RLOSS_ISA names.
//
// Each tile splats onto its own numbering of the lattice points; the tiles' sums are then added
// up in a fixed order, blurred, and brought back to the tiles to be sliced.
#include "points.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

template <class T, int kCorners>
class ImageFilter {
 public:
  ImageFilter(const Lattice<T>& lattice, const Filter<T>& filter, int64_t image)
      : filter_(filter),
        image_(image),
        num_corners_(lattice.num_corners),
        num_pixels_(lattice.num_pixels),
        has_links_(lattice.has_links()),
        lattice_(lattice.images[image]),
        tile_rows_(lattice_.tiles.size()),
        tile_volumes_(lattice_.tiles.size()) {}

  // Choose the channels that are next, `most` at a time.
  void select_channels(int64_t first, int64_t most) {
    first_channel_ = first;
    channel_count_ = int(std::min(most, filter_.num_channels - first));
    width_ = (channel_count_ + kGroup - 1) / kGroup * kGroup;
  }

  void splat_tile(int64_t t) {
    const auto& tile = lattice_.tiles[t];
    const size_t size = tile.to_image.size() * width_;
    tile_rows_[t] = Buffer<T>(size);
    std::fill_n(tile_rows_[t].data(), size, T(0));
    // The values are read alone.
    const auto channels = channels_of(const_cast<T*>(filter_.values));
    with_groups(width_ / kGroup, [&](auto groups) {
      splat<T, kCorners, decltype(groups)::value>(channels, tile.corners, num_corners_, tile.begin,
                                                  tile.end, tile_rows_[t].data());
    });
  }

  // Sum the tiles.
  void add_tiles() {
    splatted_ = Buffer<T>(padded_size());
    T* const rows = splatted_.data();
    std::fill_n(rows, padded_size(), T(0));
    for (size_t t = 0; t < lattice_.tiles.size(); ++t) {
      add_tile(lattice_.tiles[t], tile_rows_[t].data(), width_, rows);
      tile_rows_[t] = {};  // its memory serves the blur
    }
    check_finite(rows);
  }

  // Blur along all axes, in one of the two orders.
  void blur(bool descending) {
    if (has_links_) return blur_in_place(descending);
    Order& order = orders_[descending];
    for (auto& buffer : order.rows) {
      buffer = Buffer<T>(padded_size());
      std::fill_n(buffer.data() + num_points() * width_, width_, T(0));  // the absent neighbour
    }
    const T* from = splatted_.data();
    for (int a = 0; a < num_corners_; ++a) {
      T* const to = order.rows[a % 2].data();
      const int axis = descending ? num_corners_ - 1 - a : a;
      with_groups(width_ / kGroup, [&](auto groups) {
        constexpr int kGroups = decltype(groups)::value;
        blur_axis<T, kGroups>(lattice_, axis, from, to, kGroup * kGroups);
      });
      from = to;
    }
    order.blurred = from;
  }

  void slice_tile(int64_t t) {
    const auto& tile = lattice_.tiles[t];
    const Buffer<T> rows(tile.to_image.size() * width_);
    gather_blurred(tile, rows.data());
    const auto channels = channels_of(filter_.result);
    const T* region = filter_.region ? filter_.region + image_ * num_pixels_ : nullptr;
    tile_volumes_[t].assign(width_, T(0));
    with_groups(width_ / kGroup, [&](auto groups) {
      slice<T, kCorners, decltype(groups)::value>(rows.data(), tile.corners, num_corners_,
                                                  tile.begin, tile.end, channels, region,
                                                  tile_volumes_[t].data());
    });
  }

  // The sums over all pixels. That of values times result is the sum over the lattice points of
  // what was splatted times what is sliced, since slicing is the transpose of splatting.
  void sum_up() {
    if (!filter_.region) return;
    const int64_t first = image_ * filter_.num_channels + first_channel_;
    double association[kGroup * kMaxGroups] = {};
    const T half = T(0.5) * inverse_gain<T>(num_corners_);
    const T *a = orders_[0].blurred, *b = orders_[1].blurred, *splatted = splatted_.data();
    for (int64_t i = 0; i < num_points(); ++i)
      for (int c = 0; c < width_; ++c, ++a, ++b, ++splatted)
        association[c] += double(*splatted) * double((*a + *b) * half);
    for (int c = 0; c < channel_count_; ++c) {
      filter_.association[first + c] = association[c];
      double volume = 0;
      for (const auto& of_tile : tile_volumes_) volume += of_tile[c];
      filter_.volume[first + c] = volume;
    }
  }

 private:
  struct Order {
    Buffer<T> rows[2];  // (points + 1, width)
    const T* blurred = nullptr;
  };

  int64_t num_points() const { return lattice_.num_points; }
  size_t padded_size() const { return size_t(num_points() + 1) * width_; }

  Channels<T> channels_of(T* tensor) const {
    const int64_t first = image_ * filter_.num_channels + first_channel_;
    return {tensor + first * num_pixels_, channel_count_, num_pixels_};
  }

  void blur_in_place(bool descending) {
    Order& order = orders_[descending];
    order.rows[0] = Buffer<T>(padded_size());
    T* const rows = order.rows[0].data();
    std::copy_n(splatted_.data(), padded_size(), rows);
    size_t most = 0;
    for (const auto& links : lattice_.links) most = std::max(most, links.size());
    const Buffer<T> halves(2 * most * width_);
    for (int a = 0; a < num_corners_; ++a) {
      const auto& links = lattice_.links[descending ? num_corners_ - 1 - a : a];
      with_groups(width_ / kGroup, [&](auto groups) {
        blur_links<T, decltype(groups)::value>(links, rows, halves.data());
      });
    }
    order.blurred = rows;
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

  // Bring the blurred points back to the tile, as the mean of the orders and scaled.
  void gather_blurred(const Tile<T>& tile, T* to) const {
    const T gain = inverse_gain<T>(num_corners_), half = T(0.5) * gain;
    for (const int32_t point : tile.to_image) {
      const int64_t at = int64_t(point) * width_;
      if (filter_.blur == Blur::kBoth) {
        const T *a = orders_[0].blurred + at, *b = orders_[1].blurred + at;
        for (int c = 0; c < width_; ++c) to[c] = (a[c] + b[c]) * half;
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
  int64_t num_pixels_;
  bool has_links_;
  const ImageLattice<T>& lattice_;
  std::vector<Buffer<T>> tile_rows_;          // (points of the tile, width): splatted
  std::vector<std::vector<T>> tile_volumes_;  // (width)
  Buffer<T> splatted_;                        // (points + 1, width)
  Order orders_[2];                           // ascending, descending
  int64_t first_channel_ = 0;
  int channel_count_ = 0, width_ = 0;
};

template <class T, int kCorners>
void filter_batch(const Lattice<T>& lattice, const Filter<T>& filter) {
  using Image = ImageFilter<T, kCorners>;
  const auto num_images = int64_t(lattice.images.size());
  if (num_images == 0) return;
  const auto tiles = int64_t(lattice.images[0].tiles.size());
  std::vector<std::unique_ptr<Image>> images(num_images);  // those that are under way
  std::vector<Step> steps;
  const auto step = [&](Stage stage, int64_t num_tasks, auto&& task) {
    steps.push_back({num_tasks, [&lattice, &images, stage, task](int64_t n, int64_t i) {
                       const StageTimer timer(lattice.stage_nanoseconds[stage]);
                       task(*images[n], i);
                     }});
  };
  steps.push_back(
      {1, [&](int64_t n, int64_t) { images[n] = std::make_unique<Image>(lattice, filter, n); }});
  // With many dimensions, an image may have many more points than pixels: fewer channels at a time.
  const int64_t most = lattice.has_links() ? kGroup : kGroup * kMaxGroups;
  for (int64_t c = 0; c < filter.num_channels; c += most) {
    step(kSplat, 1, [c, most](Image& image, int64_t) { image.select_channels(c, most); });
    step(kSplat, tiles, [](Image& image, int64_t t) { image.splat_tile(t); });
    step(kBlur, 1, [](Image& image, int64_t) { image.add_tiles(); });
    step(kBlur, filter.blur == Blur::kBoth ? 2 : 1, [&](Image& image, int64_t order) {
      image.blur(filter.blur == Blur::kBoth ? order == 1 : filter.blur == Blur::kDescending);
    });
    step(kSlice, tiles, [](Image& image, int64_t t) { image.slice_tile(t); });
    step(kSlice, 1, [](Image& image, int64_t) { image.sum_up(); });
  }
  steps.push_back({1, [&](int64_t n, int64_t) { images[n].reset(); }});
  Team team(filter.num_threads);
  team.run(num_images, steps);
}

template <class T>
void filter_on(const Lattice<T>& lattice, const Filter<T>& filter) {
  if constexpr (sizeof(T) == 4) {  // position, grey and colour images in their usual type
    switch (lattice.num_corners) {
      case 3: return filter_batch<T, 3>(lattice, filter);
      case 4: return filter_batch<T, 4>(lattice, filter);
      case 6: return filter_batch<T, 6>(lattice, filter);
    }
  }
  filter_batch<T, 0>(lattice, filter);
}

void filter(const Lattice<float>& lattice, const Filter<float>& filter) {
  filter_on(lattice, filter);
}
void filter(const Lattice<double>& lattice, const Filter<double>& filter) {
  filter_on(lattice, filter);
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

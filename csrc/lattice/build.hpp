// Building the lattice for one instruction set, in the namespace that MMSEG_RLOSS_ISA names.
//
// An image is cut into tiles of pixels; their number depends on the size of the image alone, so
// that every sum is formed in the same order whatever the number of threads. Each tile numbers the
// lattice points that it meets in a small table of its own; the tables are then merged into that
// of the image, in which the neighbours are looked up.
#include "embedding.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

constexpr int64_t kTilePixels = 16384;

inline int64_t num_tiles(int64_t num_pixels) {
  return std::max<int64_t>(1, (num_pixels + kTilePixels / 2) / kTilePixels);
}

template <class T, int kDim, class Key>
class ImageBuilder {
 public:
  ImageBuilder(const Features<T>& features, int64_t image, const std::vector<Key>& strides,
               ImageLattice<T>& lattice)
      : lattice_(lattice),
        strides_(strides),
        embedding_(features, image, features.num_pixels, strides) {
    const int64_t count = num_tiles(features.num_pixels);
    const int64_t blocks = (features.num_pixels + kBlock - 1) / kBlock;
    constexpr size_t kCornerSize = sizeof(int32_t) + sizeof(T);
    lattice.corners = Buffer<std::byte>(size_t(blocks * kBlock * num_corners()) * kCornerSize);
    std::byte* next = lattice.corners.data();
    for (int64_t t = 0; t < count; ++t) {
      const int64_t begin = blocks * t / count * kBlock;
      const int64_t end = std::min(features.num_pixels, blocks * (t + 1) / count * kBlock);
      const size_t size = size_t((end - begin + kBlock - 1) / kBlock * kBlock * num_corners());
      auto* const point = reinterpret_cast<int32_t*>(next);
      auto* const barycentric = reinterpret_cast<T*>(next + size * sizeof(int32_t));
      lattice.tiles.push_back({begin, end, {point, barycentric}, {}});
      next += size * kCornerSize;
    }
    tile_keys_.resize(count);
  }

  // Find the simplices of a tile's pixels and number their corners.
  void embed(int64_t t) {
    const auto& tile = lattice_.tiles[t];
    PointTable<Key> table((tile.end - tile.begin) / 4);
    Simplices<T, kDim, Key> simplices(num_corners());
    auto [point, barycentric] = tile.corners;
    for (int64_t p = tile.begin; p < tile.end; p += kLanes<T>) {
      embedding_.embed(p, simplices);
      for (int c = 0; c < num_corners(); ++c, point += kLanes<T>, barycentric += kLanes<T>) {
        table.insert(simplices.key[c].data(), kLanes<T>, point);
        std::copy_n(simplices.barycentric[c].data(), kLanes<T>, barycentric);
      }
    }
    tile_keys_[t] = table.keys();
  }

  // Number the lattice points of the image.
  void merge() {
    size_t total = 0;
    for (const auto& keys : tile_keys_) total += keys.size();
    table_ = std::make_unique<PointTable<Key>>(total);
    for (size_t t = 0; t < tile_keys_.size(); ++t) {
      auto& numbers = lattice_.tiles[t].to_image;
      numbers.resize(tile_keys_[t].size());
      table_->insert(tile_keys_[t].data(), int64_t(numbers.size()), numbers.data());
      tile_keys_[t] = {};
    }
    lattice_.num_points = int64_t(table_->keys().size());
    if constexpr (kDim == kManyDims) {
      filter_ = std::make_unique<KeyFilter>(table_->keys());
      lattice_.links.resize(num_corners());
    } else {
      lattice_.neighbours = Buffer<int32_t>(size_t(num_corners()) * 2 * lattice_.num_points);
    }
  }

  // Find the neighbours of all points along an axis.
  void link(int64_t axis) {
    if constexpr (kDim == kManyDims) return find_links(axis);
    const int64_t num_points = lattice_.num_points;
    const int32_t absent = int32_t(num_points);
    int32_t* const after = lattice_.neighbours.data() + axis * 2 * num_points;
    int32_t* const before = after + num_points;
    std::fill_n(before, num_points, absent);
    for (int64_t i = 0; i < num_points; ++i) {
      Key key = table_->keys()[i];
      key += strides_[axis];
      const int32_t next = table_->find(key);
      after[i] = next == PointTable<Key>::kAbsent ? absent : next;
      if (next != PointTable<Key>::kAbsent) before[next] = int32_t(i);
    }
  }

 private:
  int num_corners() const { return embedding_.num_corners(); }

  void find_links(int64_t axis) {
    auto& links = lattice_.links[axis];
    for (int64_t i = 0; i < lattice_.num_points; ++i) {
      Key key = table_->keys()[i];
      key += strides_[axis];
      if (!filter_->may_hold(key)) continue;
      const int32_t next = table_->find(key);
      if (next != PointTable<Key>::kAbsent) links.push_back({int32_t(i), next});
    }
    links.shrink_to_fit();
  }

  ImageLattice<T>& lattice_;
  const std::vector<Key>& strides_;
  Embedding<T, kDim, Key> embedding_;
  std::vector<std::vector<Key>> tile_keys_;
  std::unique_ptr<PointTable<Key>> table_;
  std::unique_ptr<KeyFilter> filter_;  // where links are listed
};

template <class T, int kDim, class Key>
void build_batch(const Features<T>& features, Team& team, const std::vector<double>& extents,
                 Lattice<T>& lattice) {
  using Image = ImageBuilder<T, kDim, Key>;
  const auto strides = make_strides<Key>(extents);
  std::vector<std::unique_ptr<Image>> images(features.num_images);  // those that are under way
  const auto begin = [&](int64_t n, int64_t) {
    images[n] = std::make_unique<Image>(features, n, strides, lattice.images[n]);
  };
  const auto embed = [&](int64_t n, int64_t tile) {
    const StageTimer timer(lattice.stage_nanoseconds[kEmbed]);
    images[n]->embed(tile);
  };
  const auto merge = [&](int64_t n, int64_t) {
    const StageTimer timer(lattice.stage_nanoseconds[kNeighbours]);
    images[n]->merge();
  };
  const auto link = [&](int64_t n, int64_t axis) {
    const StageTimer timer(lattice.stage_nanoseconds[kNeighbours]);
    images[n]->link(axis);
  };
  const auto end = [&](int64_t n, int64_t) { images[n].reset(); };
  team.run(features.num_images, {{1, begin},
                                 {num_tiles(features.num_pixels), embed},
                                 {1, merge},
                                 {int64_t(strides.size()), link},
                                 {1, end}});
}

// The narrowest key that keeps all points within the extents apart.
template <class T, int kDim>
void build_with_key(const Features<T>& features, Team& team, const std::vector<double>& extents,
                    Lattice<T>& lattice) {
  double bits = 0;
  for (const double extent : extents) bits += std::log2(extent);
  if (bits < 31.9 && sizeof(T) == 4)
    return build_batch<T, kDim, Key32>(features, team, extents, lattice);
  if (bits < 63.9) return build_batch<T, kDim, Key64>(features, team, extents, lattice);
  return build_batch<T, kDim, KeyWide>(features, team, extents, lattice);
}

// The extents that hold all images, none where some image's coordinates outgrow T.
template <class T>
std::vector<double> batch_extents(const Features<T>& features, Team& team) {
  std::vector<std::vector<double>> extents(features.num_images);
  const auto find_extents = [&](int64_t n, int64_t) {
    extents[n] = coordinate_extents<T>(feature_ranges(features, n, features.num_pixels));
  };
  team.run(features.num_images, {{1, find_extents}});
  for (const auto& image : extents) {
    if (image.empty()) return {};
    for (size_t i = 0; i < image.size(); ++i) extents[0][i] = std::max(extents[0][i], image[i]);
  }
  return extents[0];
}

template <class T>
bool build_lattice(const Features<T>& features, int num_threads, Lattice<T>& lattice) {
  Team team(num_threads);
  const auto extents = batch_extents(features, team);
  if (extents.empty()) return false;
  lattice.num_corners = int(extents.size()) + 1;
  lattice.num_pixels = features.num_pixels;
  lattice.images.resize(features.num_images);
  // So many coordinates outgrow 64 bits, whatever their extents.
  if (lattice.has_links())
    return build_batch<T, kManyDims, KeyWide>(features, team, extents, lattice), true;
  if constexpr (sizeof(T) == 4) {  // position, grey and colour images in their usual type
    switch (extents.size()) {
      case 2: return build_with_key<T, 2>(features, team, extents, lattice), true;
      case 3: return build_with_key<T, 3>(features, team, extents, lattice), true;
      case 5: return build_with_key<T, 5>(features, team, extents, lattice), true;
    }
  }
  build_with_key<T, 0>(features, team, extents, lattice);
  return true;
}

bool build(const Features<float>& features, int num_threads, Lattice<float>& lattice) {
  return build_lattice(features, num_threads, lattice);
}
bool build(const Features<double>& features, int num_threads, Lattice<double>& lattice) {
  return build_lattice(features, num_threads, lattice);
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

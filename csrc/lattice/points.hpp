// What filters and inference do with rows of channels at the lattice points of an image.
#pragma once

#include "channels.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

// The factor that corrects for the gain of the blur.
template <class T>
T inverse_gain(int num_corners) {
  return T(1.0 / (1.0 + std::pow(2.0, 1 - num_corners)));
}

// Add a tile's lattice points (points of the tile, width) to those of its image.
template <class T>
void add_tile(const Tile<T>& tile, const T* from, int64_t width, T* points) {
  for (const int32_t point : tile.to_image) {
    T* to = points + int64_t(point) * width;
    for (int64_t c = 0; c < width; ++c) to[c] += from[c];
    from += width;
  }
}

// Convolve the channels of the image's points with [1/2, 1, 1/2] along an axis. Rows are `stride`
// apart; that after the last point holds zeros, for neighbours that there are not.
template <class T, int kGroups>
MMSEG_RLOSS_INLINE void blur_axis(const ImageLattice<T>& lattice, int axis, const T* from, T* to,
                                  int64_t stride) {
  using R = Row<T, kGroups>;
  const int32_t* const after = lattice.neighbours.data() + axis * 2 * lattice.num_points;
  const int32_t* const before = after + lattice.num_points;
  for (int64_t i = 0; i < lattice.num_points; ++i) {
    R sum = R::read(from + after[i] * stride);
    sum.add(R::read(from + before[i] * stride), T(1));
    R row = R::read(from + i * stride);
    row.add(sum, T(0.5));
    row.write(to + i * stride);
  }
}

// The same in place, along the axis of some links. `halves` has room for two rows per link.
template <class T, int kGroups>
MMSEG_RLOSS_INLINE void blur_links(const std::vector<Link>& links, T* points, T* halves) {
  using R = Row<T, kGroups>;
  constexpr int64_t kWidth = kGroup * kGroups;
  const auto add_half = [](T* to, const T* half) {
    R row = R::read(to);
    row.add(R::read(half), T(1));
    row.write(to);
  };
  T* half = halves;
  for (const Link& link : links) {
    for (const int32_t point : {link.point, link.next}) {
      R row = R::read(points + point * kWidth);
      row.scale(T(0.5));
      row.write(half);
      half += kWidth;
    }
  }
  half = halves;
  for (const Link& link : links) {
    add_half(points + link.next * kWidth, half);
    add_half(points + link.point * kWidth, half + kWidth);
    half += 2 * kWidth;
  }
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

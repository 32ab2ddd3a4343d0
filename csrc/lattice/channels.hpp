// Splat and slice: between pixels, channel by channel, and lattice points, all channels together.
#pragma once

#include "../simd.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

// Channels are handled in groups of eight, and up to this many groups at a time.
constexpr int kGroup = 8;
constexpr int kMaxGroups = 4;

// Some channels of one image, (count, P).
template <class T>
struct Channels {
  T* first;
  int count;
  int64_t num_pixels;
};

// One row of kGroups * 8 channels, in the widest vectors: pairs of groups, then a single one.
template <class T, int kGroups>
struct Row {
  using Pair = Vector<T, 2 * kGroup>;
  using Single = Vector<T, kGroup>;
  static constexpr int kPairs = kGroups / 2;
  static constexpr bool kOdd = kGroups % 2;

  Pair pair[kPairs == 0 ? 1 : kPairs];
  Single single;

  static MMSEG_RLOSS_INLINE Row read(const T* from) {
    Row row;
    for (int i = 0; i < kPairs; ++i) row.pair[i] = load<Pair>(from + 2 * kGroup * i);
    if constexpr (kOdd) row.single = load<Single>(from + 2 * kGroup * kPairs);
    return row;
  }
  MMSEG_RLOSS_INLINE void write(T* to) const {
    for (int i = 0; i < kPairs; ++i) store(to + 2 * kGroup * i, pair[i]);
    if constexpr (kOdd) store(to + 2 * kGroup * kPairs, single);
  }
  MMSEG_RLOSS_INLINE void add(const Row& other, T weight) {
    for (int i = 0; i < kPairs; ++i) pair[i] += weight * other.pair[i];
    if constexpr (kOdd) single += weight * other.single;
  }
  MMSEG_RLOSS_INLINE void scale(T factor) {
    for (int i = 0; i < kPairs; ++i) pair[i] *= factor;
    if constexpr (kOdd) single *= factor;
  }
  static MMSEG_RLOSS_INLINE Row zero() {
    Row row;
    for (int i = 0; i < kPairs; ++i) row.pair[i] = Pair{};
    row.single = Single{};
    return row;
  }
};

// Calls f with the number of groups, where it is known at compile time.
template <class F>
MMSEG_RLOSS_INLINE void with_groups(int64_t groups, F&& f) {
  switch (groups) {
    case 1: return f(std::integral_constant<int, 1>{});
    case 2: return f(std::integral_constant<int, 2>{});
    case 3: return f(std::integral_constant<int, 3>{});
    default: return f(std::integral_constant<int, 4>{});
  }
}

// Copy `count` <= kBlock pixels of some channels (channel, pixel) to rows (pixel, channel) that are
// `stride` apart, with `padding` for channels that there are not.
template <class T, int kGroups>
MMSEG_RLOSS_INLINE void gather_rows(const Channels<T>& channels, int64_t begin, int64_t count,
                                    T padding, T* rows, int64_t stride) {
  using V = Vector<T, kGroup>;
  for (int g = 0; g < kGroups; ++g) {
    const int valid = std::clamp(channels.count - kGroup * g, 0, kGroup);
    const T* plane = channels.first + kGroup * g * channels.num_pixels + begin;
    int64_t p = 0;
    for (; p + kGroup <= count; p += kGroup) {
      V tile[kGroup];
      for (int c = 0; c < kGroup; ++c)
        tile[c] = c < valid ? load<V>(plane + c * channels.num_pixels + p) : broadcast<V>(padding);
      transpose8(tile);
      for (int i = 0; i < kGroup; ++i) store(rows + (p + i) * stride + kGroup * g, tile[i]);
    }
    for (; p < count; ++p)
      for (int c = 0; c < kGroup; ++c)
        rows[p * stride + kGroup * g + c] =
            c < valid ? plane[c * channels.num_pixels + p] : padding;
  }
}

// The way back.
template <class T, int kGroups>
MMSEG_RLOSS_INLINE void scatter_rows(const T* rows, int64_t stride, const Channels<T>& channels,
                                     int64_t begin, int64_t count) {
  using V = Vector<T, kGroup>;
  for (int g = 0; g < kGroups; ++g) {
    const int valid = std::clamp(channels.count - kGroup * g, 0, kGroup);
    T* plane = channels.first + kGroup * g * channels.num_pixels + begin;
    int64_t p = 0;
    for (; p + kGroup <= count; p += kGroup) {
      V tile[kGroup];
      for (int i = 0; i < kGroup; ++i) tile[i] = load<V>(rows + (p + i) * stride + kGroup * g);
      transpose8(tile);
      for (int c = 0; c < valid; ++c) store(plane + c * channels.num_pixels + p, tile[c]);
    }
    for (; p < count; ++p)
      for (int c = 0; c < valid; ++c)
        plane[c * channels.num_pixels + p] = rows[p * stride + kGroup * g + c];
  }
}

// The corners from the block of kBlock pixels on that begins at `pixel` of the tile.
template <class T>
MMSEG_RLOSS_INLINE Corners<T> corners_at(const Corners<T>& corners, int num_corners,
                                         int64_t pixel) {
  return {corners.point + pixel * num_corners, corners.barycentric + pixel * num_corners};
}

// Ask for the corners of the block of pixels that begins at `pixel` of the tile. Many of them are
// runs so long that processors foresee them.
template <class T>
MMSEG_RLOSS_INLINE void prefetch_corners(const Corners<T>& corners, int num_corners,
                                         int64_t pixel) {
  if (num_corners > kMaxDim + 1) return;
  const Corners<T> from = corners_at(corners, num_corners, pixel);
  prefetch(from.point, kBlock * num_corners);
  prefetch(from.barycentric, kBlock * num_corners);
}

// Add row_of(p) for the first `count` pixels onto the lattice points that enclose them, rows that
// are `stride` apart. kCorners is the number of corners where the compiler shall know it, else 0.
template <class T, int kCorners, int kGroups, class F>
MMSEG_RLOSS_INLINE void splat_rows(F&& row_of, const Corners<T>& corners, int num_corners,
                                   int64_t count, T* points, int64_t stride) {
  const int n = kCorners ? kCorners : num_corners;
  for (int64_t p = 0; p < count; ++p) {
    const int64_t at = p / kLanes<T> * n * kLanes<T> + p % kLanes<T>;
    const Row<T, kGroups> row = row_of(p);
    for (int c = 0; c < n; ++c) {
      T* const target = points + int64_t(corners.point[at + c * kLanes<T>]) * stride;
      auto sum = Row<T, kGroups>::read(target);
      sum.add(row, corners.barycentric[at + c * kLanes<T>]);
      sum.write(target);
    }
  }
}

// Interpolate the first `count` pixels from the lattice points and call take(p, row) with each.
template <class T, int kCorners, int kGroups, class F>
MMSEG_RLOSS_INLINE void slice_rows(const T* points, int64_t stride, const Corners<T>& corners,
                                   int num_corners, int64_t count, F&& take) {
  const int n = kCorners ? kCorners : num_corners;
  for (int64_t p = 0; p < count; ++p) {
    const int64_t at = p / kLanes<T> * n * kLanes<T> + p % kLanes<T>;
    auto sum = Row<T, kGroups>::zero();
    for (int c = 0; c < n; ++c) {
      const T* source = points + int64_t(corners.point[at + c * kLanes<T>]) * stride;
      sum.add(Row<T, kGroups>::read(source), corners.barycentric[at + c * kLanes<T>]);
    }
    take(p, sum);
  }
}

// Add the pixels [begin, end) onto the lattice points (M, kGroups * 8) that enclose them.
template <class T, int kCorners, int kGroups>
void splat(const Channels<T>& channels, const Corners<T>& corners, int num_corners, int64_t begin,
           int64_t end, T* points) {
  constexpr int kWidth = kGroup * kGroups;
  alignas(64) T rows[kBlock * kWidth];
  for (int64_t block = begin; block < end; block += kBlock) {
    const int64_t count = std::min(kBlock, end - block), later = block + kAhead;
    if (later + kBlock <= end) {
      prefetch_corners(corners, num_corners, later - begin);
      for (int c = 0; c < channels.count; ++c)
        prefetch_plane(channels.first + c * channels.num_pixels + later, kBlock);
    }
    gather_rows<T, kGroups>(channels, block, count, T(0), rows, kWidth);
    splat_rows<T, kCorners, kGroups>(
        [&](int64_t p) { return Row<T, kGroups>::read(rows + p * kWidth); },
        corners_at(corners, num_corners, block - begin), num_corners, count, points, kWidth);
  }
}

// Interpolate the pixels [begin, end) from the lattice points. Where there is a region (P,), what
// lies in it is added to `volume` (kGroups * 8).
template <class T, int kCorners, int kGroups>
void slice(const T* points, const Corners<T>& corners, int num_corners, int64_t begin, int64_t end,
           const Channels<T>& channels, const T* region, T* volume) {
  constexpr int kWidth = kGroup * kGroups;
  alignas(64) T rows[kBlock * kWidth];
  for (int64_t block = begin; block < end; block += kBlock) {
    const int64_t count = std::min(kBlock, end - block), later = block + kAhead;
    if (later + kBlock <= end) prefetch_corners(corners, num_corners, later - begin);
    slice_rows<T, kCorners, kGroups>(
        points, kWidth, corners_at(corners, num_corners, block - begin), num_corners, count,
        [&](int64_t p, const Row<T, kGroups>& row) { row.write(rows + p * kWidth); });
    if (region) {
      auto sum = Row<T, kGroups>::zero();
      for (int64_t p = 0; p < count; ++p)
        sum.add(Row<T, kGroups>::read(rows + p * kWidth), region[block + p]);
      auto total = Row<T, kGroups>::read(volume);
      total.add(sum, T(1));
      total.write(volume);
    }
    scatter_rows<T, kGroups>(rows, kWidth, channels, block, count);
  }
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

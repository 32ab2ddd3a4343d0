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
  static MMSEG_RLOSS_INLINE Row zero() {
    Row row;
    for (int i = 0; i < kPairs; ++i) row.pair[i] = Pair{};
    row.single = Single{};
    return row;
  }
};

// Copy `count` <= kBlock pixels of some channels (channel, pixel) to `rows` (pixel, channel).
template <class T, int kGroups>
MMSEG_RLOSS_INLINE void gather_rows(const Channels<T>& channels, int64_t begin, int64_t count,
                                    T* rows) {
  using V = Vector<T, kGroup>;
  constexpr int kWidth = kGroup * kGroups;
  for (int g = 0; g < kGroups; ++g) {
    const int valid = std::clamp(channels.count - kGroup * g, 0, kGroup);
    const T* plane = channels.first + kGroup * g * channels.num_pixels + begin;
    int64_t p = 0;
    for (; p + kGroup <= count; p += kGroup) {
      V tile[kGroup];
      for (int c = 0; c < kGroup; ++c)
        tile[c] = c < valid ? load<V>(plane + c * channels.num_pixels + p) : V{};
      transpose8(tile);
      for (int i = 0; i < kGroup; ++i) store(rows + (p + i) * kWidth + kGroup * g, tile[i]);
    }
    for (; p < count; ++p)
      for (int c = 0; c < kGroup; ++c)
        rows[p * kWidth + kGroup * g + c] = c < valid ? plane[c * channels.num_pixels + p] : T(0);
  }
}

// The way back.
template <class T, int kGroups>
MMSEG_RLOSS_INLINE void scatter_rows(const T* rows, const Channels<T>& channels, int64_t begin,
                                     int64_t count) {
  using V = Vector<T, kGroup>;
  constexpr int kWidth = kGroup * kGroups;
  for (int g = 0; g < kGroups; ++g) {
    const int valid = std::clamp(channels.count - kGroup * g, 0, kGroup);
    T* plane = channels.first + kGroup * g * channels.num_pixels + begin;
    int64_t p = 0;
    for (; p + kGroup <= count; p += kGroup) {
      V tile[kGroup];
      for (int i = 0; i < kGroup; ++i) tile[i] = load<V>(rows + (p + i) * kWidth + kGroup * g);
      transpose8(tile);
      for (int c = 0; c < valid; ++c) store(plane + c * channels.num_pixels + p, tile[c]);
    }
    for (; p < count; ++p)
      for (int c = 0; c < valid; ++c)
        plane[c * channels.num_pixels + p] = rows[p * kWidth + kGroup * g + c];
  }
}

// Add the pixels [begin, end) onto the lattice points (M, kGroups * 8) that enclose them.
// kCorners is the number of corners where the compiler shall know it, else 0.
template <class T, int kCorners, int kGroups>
void splat(const Channels<T>& channels, const Corners<T>& corners, int num_corners, int64_t begin,
           int64_t end, T* points) {
  constexpr int kWidth = kGroup * kGroups;
  const int n = kCorners ? kCorners : num_corners;
  alignas(64) T rows[kBlock * kWidth];
  for (int64_t block = begin; block < end; block += kBlock) {
    const int64_t count = std::min(kBlock, end - block);
    gather_rows<T, kGroups>(channels, block, count, rows);
    const int32_t* const point = corners.point + (block - begin) * n;
    const T* const barycentric = corners.barycentric + (block - begin) * n;
    for (int64_t p = 0; p < count; ++p) {
      const int64_t at = p / kLanes<T> * n * kLanes<T> + p % kLanes<T>;
      const auto row = Row<T, kGroups>::read(rows + p * kWidth);
      for (int c = 0; c < n; ++c) {
        T* const target = points + int64_t(point[at + c * kLanes<T>]) * kWidth;
        auto sum = Row<T, kGroups>::read(target);
        sum.add(row, barycentric[at + c * kLanes<T>]);
        sum.write(target);
      }
    }
  }
}

// Interpolate the pixels [begin, end) from the lattice points. Where there is a region (P,), what
// lies in it is added to `degrees` (kGroups * 8).
template <class T, int kCorners, int kGroups>
void slice(const T* points, const Corners<T>& corners, int num_corners, int64_t begin, int64_t end,
           const Channels<T>& channels, const T* region, T* degrees) {
  constexpr int kWidth = kGroup * kGroups;
  const int n = kCorners ? kCorners : num_corners;
  alignas(64) T rows[kBlock * kWidth];
  for (int64_t block = begin; block < end; block += kBlock) {
    const int64_t count = std::min(kBlock, end - block);
    const int32_t* const point = corners.point + (block - begin) * n;
    const T* const barycentric = corners.barycentric + (block - begin) * n;
    for (int64_t p = 0; p < count; ++p) {
      const int64_t at = p / kLanes<T> * n * kLanes<T> + p % kLanes<T>;
      auto sum = Row<T, kGroups>::zero();
      for (int c = 0; c < n; ++c) {
        const T* source = points + int64_t(point[at + c * kLanes<T>]) * kWidth;
        sum.add(Row<T, kGroups>::read(source), barycentric[at + c * kLanes<T>]);
      }
      sum.write(rows + p * kWidth);
    }
    if (region) {
      auto sum = Row<T, kGroups>::zero();
      for (int64_t p = 0; p < count; ++p)
        sum.add(Row<T, kGroups>::read(rows + p * kWidth), region[block + p]);
      auto total = Row<T, kGroups>::read(degrees);
      total.add(sum, T(1));
      total.write(degrees);
    }
    scatter_rows<T, kGroups>(rows, channels, block, count);
  }
}

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

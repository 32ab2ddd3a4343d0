// The permutohedral lattice of a batch: what building leaves, and the interface of its kernels.
//
// The kernels are compiled once per instruction set (instruction_sets/). All standard headers are
// included here, before any of those files asks the compiler for more than the baseline, so that no
// inline function of the library is compiled for a newer machine.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../memory.hpp"
#include "../parallel.hpp"
#include "../processor_time.hpp"

namespace mmseg_rloss {

// The order in which the axes are blurred; kBoth is the mean of the two, a symmetric filter.
enum class Blur { kBoth, kAscending, kDescending };

enum Stage { kEmbed, kNeighbours, kSplat, kBlur, kSlice, kNumStages };

// Features (dimension, pixel) of a batch: optionally the position of each pixel, then planes.
template <class T>
struct Features {
  const T* planes;     // (N, C, P)
  int64_t num_images;  // N
  int64_t num_planes;  // C
  int64_t num_pixels;  // P
  T bandwidth;         // of the planes
  bool with_position;  // whether x and y come first
  T position_bandwidth;
  int64_t width;  // pixels in a row of the image, for the position

  int64_t dim() const { return num_planes + (with_position ? 2 : 0); }
};

// Up to so many feature dimensions the memory of a few pixels is on the stack and all neighbours
// are listed. Beyond, both would take too much: the memory is on the heap, and links are listed.
constexpr int kMaxDim = 16;

// Pixels whose simplices lie side by side: those of a vector of 64 bytes.
template <class T>
constexpr int kLanes = 64 / sizeof(T);

// The simplices of a tile's pixels: kLanes at a time, corner by corner.
template <class T>
struct Corners {
  int32_t* point;  // (P / kLanes, corners, kLanes) rows of the tile's lattice points
  T* barycentric;  // likewise
};

// Some pixels of an image, which number the lattice points that they meet for themselves.
template <class T>
struct Tile {
  int64_t begin, end;             // pixels
  Corners<T> corners;             // of these pixels
  std::vector<int32_t> to_image;  // the tile's lattice points among the image's
};

// Two lattice points, one step along an axis apart.
struct Link {
  int32_t point, next;
};

template <class T>
struct ImageLattice {
  // One piece of memory for all tiles, larger than everything else: the allocator keeps up to twice
  // its size from call to call, while it would return many pieces and have them cleared anew.
  Buffer<std::byte> corners;
  std::vector<Tile<T>> tiles;
  int64_t num_points = 0;
  // Up to kMaxDim dimensions (axes, 2, points): next and previous, num_points where none is.
  Buffer<int32_t> neighbours;
  // Beyond, where hardly any point has neighbours along hardly any axis: those of each axis.
  std::vector<std::vector<Link>> links;
};

template <class T>
struct Lattice {
  int num_corners = 0;  // D + 1, and as many axes
  int64_t num_pixels = 0;
  std::vector<ImageLattice<T>> images;
  // Sums of all threads' processor time, of building and of every filtering.
  mutable std::atomic<int64_t> stage_nanoseconds[kNumStages] = {};

  bool has_links() const { return num_corners > kMaxDim + 1; }
};

// What is filtered. The sums are formed where there is a region.
template <class T>
struct Filter {
  const T* values;  // (N, K, P)
  T* result;        // (N, K, P)
  int64_t num_channels;
  Blur blur;
  int num_threads;
  const T* region;      // (N, P), or null
  double* association;  // (N, K): values' result
  double* volume;       // (N, K): region' result
};

// `build` fills an empty lattice, or returns false where the features are too large for their type
// to tell pixels apart; it throws std::domain_error for features that are not finite. `filter`
// throws std::invalid_argument for values that are not finite.
#define MMSEG_RLOSS_DECLARE(isa)                                          \
  namespace isa {                                                         \
  bool build(const Features<float>&, int num_threads, Lattice<float>&);   \
  bool build(const Features<double>&, int num_threads, Lattice<double>&); \
  void filter(const Lattice<float>&, const Filter<float>&);               \
  void filter(const Lattice<double>&, const Filter<double>&);             \
  }
MMSEG_RLOSS_DECLARE(baseline)
#if defined(__x86_64__)
MMSEG_RLOSS_DECLARE(avx2)
MMSEG_RLOSS_DECLARE(avx512)
#endif
#undef MMSEG_RLOSS_DECLARE

// Adds the processor time that its thread takes while it lives.
class StageTimer {
 public:
  explicit StageTimer(std::atomic<int64_t>& nanoseconds) : nanoseconds_(nanoseconds) {}
  ~StageTimer() { nanoseconds_ += processor_time() - start_; }

 private:
  std::atomic<int64_t>& nanoseconds_;
  int64_t start_ = processor_time();
};

}  // namespace mmseg_rloss

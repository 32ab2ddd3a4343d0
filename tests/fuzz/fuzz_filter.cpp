// Builds lattices of random arguments, filters on them and checks every result against a slow one.
//
//     fuzz_filter CALLS [CALLERS [FIRST]]
//
// Runs CALLS calls, shared among CALLERS concurrent threads, whose numbers begin with FIRST. What
// a call does depends on its number alone, so `fuzz_filter 1 1 NUMBER` repeats one that failed.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>

#include "../../csrc/lattice/lattice.hpp"

namespace {

using namespace mmseg_rloss;

struct InstructionSet {
  bool (*build_float)(const Features<float>&, int, Lattice<float>&);
  bool (*build_double)(const Features<double>&, int, Lattice<double>&);
  void (*filter_float)(const Lattice<float>&, const Filter<float>&);
  void (*filter_double)(const Lattice<double>&, const Filter<double>&);
  bool build(const Features<float>& features, int num_threads, Lattice<float>& lattice) const {
    return build_float(features, num_threads, lattice);
  }
  bool build(const Features<double>& features, int num_threads, Lattice<double>& lattice) const {
    return build_double(features, num_threads, lattice);
  }
  void filter(const Lattice<float>& lattice, const Filter<float>& filter) const {
    filter_float(lattice, filter);
  }
  void filter(const Lattice<double>& lattice, const Filter<double>& filter) const {
    filter_double(lattice, filter);
  }
};

#define MMSEG_RLOSS_SET(isa) {isa::build, isa::build, isa::filter, isa::filter}

std::vector<InstructionSet> instruction_sets() {
  std::vector<InstructionSet> sets{MMSEG_RLOSS_SET(baseline)};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
    sets.push_back(MMSEG_RLOSS_SET(avx2));
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
    sets.push_back(MMSEG_RLOSS_SET(avx512));
#endif
  return sets;
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  int64_t integer(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine_);
  }
  double real(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(engine_);
  }
  bool chance(double probability) { return real(0, 1) < probability; }

 private:
  std::mt19937_64 engine_;
};

// The arguments of one call.
template <class T>
struct Call {
  int64_t num_images, num_planes, num_channels, height, width;
  bool with_position;
  T bandwidth, position_bandwidth;
  Blur blur;
  int num_threads;
  std::vector<T> planes, values, region;  // the region where the sums are formed, too

  int64_t num_pixels() const { return height * width; }
  int dim() const { return int(num_planes) + (with_position ? 2 : 0); }
};

// Most calls are small; a few have several tiles.
template <class T>
Call<T> random_call(Random& random) {
  Call<T> call;
  const bool large = random.chance(0.002);
  call.num_images = random.integer(1, large ? 1 : 3);
  call.with_position = random.chance(0.7);
  call.num_planes = random.chance(0.5) ? 3 : random.integer(1, random.chance(0.1) ? 20 : 8);
  const bool many = !large && random.chance(0.005);  // dimensions, which take the slow lattice long
  if (many) call.num_planes = random.integer(15, 200);
  call.num_channels = random.integer(1, many ? 10 : large ? 3 : random.chance(0.1) ? 70 : 9);
  call.height = random.integer(1, many ? 2 : large ? 300 : 20);
  call.width = random.integer(1, many ? 3 : large ? 300 : random.chance(0.1) ? 200 : 20);
  call.bandwidth = T(std::pow(10, random.real(-3, random.chance(0.2) ? 6 : 2)));
  call.position_bandwidth = T(std::pow(10, random.real(-3, random.chance(0.2) ? 6 : 2)));
  call.blur = std::array{Blur::kBoth, Blur::kAscending, Blur::kDescending}[random.integer(0, 2)];
  call.num_threads = int(random.integer(1, 4));
  const int64_t kind = random.integer(0, 3);  // constant, two levels, 8 bits, real
  const double level = random.real(0, 255);
  call.planes.resize(call.num_images * call.num_planes * call.num_pixels());
  for (auto& x : call.planes)
    x = T(kind == 0   ? level
          : kind == 1 ? 255.0 * random.integer(0, 1)
          : kind == 2 ? double(random.integer(0, 255))
                      : random.real(-300, 300));
  call.values.resize(call.num_images * call.num_channels * call.num_pixels());
  for (auto& x : call.values) x = T(random.real(-1, 1));
  if (call.blur == Blur::kBoth && random.chance(0.5)) {
    call.region.resize(call.num_images * call.num_pixels());
    for (auto& x : call.region) x = T(random.integer(0, 1));
  }
  return call;
}

// The definition, one pixel at a time; the lattice is a map, sums are in double. The order of the
// operations up to the barycentric weights decides which lattice points there are, so these are
// in T and in the order that the filter documents.
template <class T>
class SlowLattice {
 public:
  SlowLattice(const Call<T>& call, int64_t image) : call_(call), image_(image) {
    const int dim = call.dim();
    for (int64_t p = 0; p < call.num_pixels(); ++p) embed(p);
    for (int axis = 0; axis <= dim; ++axis) {
      neighbours_.emplace_back();
      for (const auto& [point, number] : points_) {
        auto after = point, before = point;
        for (int i = 0; i < dim; ++i) {
          const int64_t step = axis == dim ? -1 : i == axis;
          after[i] += step;
          before[i] -= step;
        }
        neighbours_.back().push_back({number, find(after), find(before)});
      }
    }
  }

  // A channel of the image, from its values to its result.
  std::vector<double> filter(const std::vector<double>& values) const {
    const int corners = call_.dim() + 1;
    std::vector<double> splatted(points_.size());
    for (size_t i = 0; i < corner_.size(); ++i)
      splatted[corner_[i]] += weight_[i] * values[i / corners];
    std::vector<double> blurred(points_.size());
    for (const Blur order : {Blur::kAscending, Blur::kDescending}) {
      if (call_.blur != Blur::kBoth && call_.blur != order) continue;
      std::vector<double> rows = splatted;
      for (int a = 0; a < corners; ++a) {
        const auto from = rows;
        const auto at = [&](int64_t point) { return point < 0 ? 0.0 : from[point]; };
        for (const auto& link : neighbours_[order == Blur::kAscending ? a : corners - 1 - a])
          rows[link.point] += 0.5 * (at(link.after) + at(link.before));
      }
      for (size_t i = 0; i < rows.size(); ++i)
        blurred[i] += rows[i] * (call_.blur == Blur::kBoth ? 0.5 : 1);
    }
    std::vector<double> result(values.size());
    const double gain = 1 + std::pow(2.0, 1 - corners);
    for (size_t i = 0; i < corner_.size(); ++i)
      result[i / corners] += weight_[i] * blurred[corner_[i]] / gain;
    return result;
  }

 private:
  struct Link {
    int64_t point, after, before;
  };

  T feature(int j, int64_t p) const {
    if (call_.with_position && j < 2)
      return T(j == 0 ? p % call_.width : p / call_.width) / call_.position_bandwidth;
    if (call_.with_position) j -= 2;
    const int64_t plane = image_ * call_.num_planes + j;
    return call_.planes[plane * call_.num_pixels() + p] / call_.bandwidth;
  }

  void embed(int64_t p) {
    const int dim = call_.dim();
    std::vector<T> elevated(dim + 1), nearest(dim + 1), remainder(dim + 1);
    T total = 0;
    for (int j = dim; j > 0; --j) {
      const double scale = std::sqrt(2.0 / 3.0) * (dim + 1) / std::sqrt(double(j) * (j + 1));
      const T scaled = feature(j - 1, p) * T(scale);
      elevated[j] = total - scaled * T(j);
      total = total + scaled;
    }
    elevated[0] = total;
    const T down = T(1.0 / (dim + 1));
    std::vector<int> axis(dim + 1);
    for (int i = 0; i <= dim; ++i) {
      nearest[i] = std::nearbyint(elevated[i] * down);
      remainder[i] = elevated[i] - nearest[i] * T(dim + 1);
      axis[i] = i;
    }
    std::stable_sort(axis.begin(), axis.end(),
                     [&](int a, int b) { return remainder[a] > remainder[b]; });
    std::vector<int64_t> point(dim);
    for (int i = 0; i < dim; ++i) point[i] = int64_t(nearest[i]) - int64_t(nearest[dim]);
    const auto sorted = [&](int rank) { return remainder[axis[rank]] * down; };
    for (int t = 0; t <= dim; ++t) {
      if (t > 0) {
        const int step = axis[dim + 1 - t];
        for (int i = 0; i < dim; ++i) point[i] -= step == dim ? -1 : i == step;
      }
      corner_.push_back(points_.emplace(point, int64_t(points_.size())).first->second);
      weight_.push_back(t == 0 ? sorted(dim) + (T(1) - sorted(0))
                               : sorted(dim - t) - sorted(dim + 1 - t));
    }
  }

  int64_t find(const std::vector<int64_t>& point) const {
    const auto found = points_.find(point);
    return found == points_.end() ? -1 : found->second;
  }

  const Call<T>& call_;
  int64_t image_;
  std::map<std::vector<int64_t>, int64_t> points_;
  std::vector<int64_t> corner_;                // (P, corners) points
  std::vector<double> weight_;                 // (P, corners)
  std::vector<std::vector<Link>> neighbours_;  // of each axis
};

[[noreturn]] void fail(int64_t number, const std::string& what) {
  std::fprintf(stderr, "call %lld: %s\n", (long long)number, what.c_str());
  std::_Exit(1);
}

template <class T>
struct Result {
  std::vector<T> filtered;
  std::vector<double> association, volume;
};

// Build and filter with an instruction set, twice on one lattice; false where the features are too
// large for T.
template <class T>
bool filter(int64_t number, const Call<T>& call, const InstructionSet& run, Result<T>& result) {
  Lattice<T> lattice;
  const Features<T> features{call.planes.data(),      call.num_images, call.num_planes,
                             call.num_pixels(),       call.bandwidth,  call.with_position,
                             call.position_bandwidth, call.width};
  if (!run.build(features, call.num_threads, lattice)) return false;
  const size_t sums = call.region.empty() ? 0 : call.num_images * call.num_channels;
  result = {std::vector<T>(call.values.size(), T(-1e30)), std::vector<double>(sums, -1e30),
            std::vector<double>(sums, -1e30)};
  Filter<T> filter{call.values.data(),
                   result.filtered.data(),
                   call.num_channels,
                   call.blur,
                   call.num_threads,
                   nullptr,
                   nullptr,
                   nullptr};
  run.filter(lattice, filter);
  if (sums == 0) return true;
  auto again = result.filtered;
  std::swap(again, result.filtered);
  filter.result = result.filtered.data();
  filter.region = call.region.data();
  filter.association = result.association.data();
  filter.volume = result.volume.data();
  run.filter(lattice, filter);
  if (again != result.filtered) fail(number, "the second filtering gave another result");
  return true;
}

// The sums over the pixels of an image and a channel, of magnitudes up to `scale`.
template <class T>
void check_sums(int64_t number, const Call<T>& call, const Result<T>& result, int64_t image,
                int64_t channel, double scale) {
  const int64_t size = call.num_pixels(), at = image * call.num_channels + channel;
  double association = 0, volume = 0;
  for (int64_t p = 0; p < size; ++p) {
    association += double(call.values[at * size + p]) * result.filtered[at * size + p];
    volume += double(call.region[image * size + p]) * result.filtered[at * size + p];
  }
  const double tolerance = (sizeof(T) == 4 ? 2e-5 : 1e-13) * scale;
  if (!(std::fabs(result.association[at] - association) <= tolerance))
    fail(number, "values' result is wrong");
  if (!(std::fabs(result.volume[at] - volume) <= tolerance))
    fail(number, "region' result is wrong");
}

template <class T>
void check_result(int64_t number, const Call<T>& call, const Result<T>& result) {
  const double tolerance = sizeof(T) == 4 ? 2e-5 : 1e-13;
  const int64_t size = call.num_pixels();
  for (int64_t image = 0; image < call.num_images; ++image) {
    const SlowLattice<T> lattice(call, image);
    // The sum of magnitudes bounds what rounding can do to a pixel.
    const auto magnitude = lattice.filter(std::vector<double>(size, 1.0));
    for (int64_t c = 0; c < call.num_channels; ++c) {
      const int64_t first = (image * call.num_channels + c) * size;
      const auto expected =
          lattice.filter({call.values.begin() + first, call.values.begin() + first + size});
      for (int64_t p = 0; p < size; ++p)
        if (!(std::fabs(result.filtered[first + p] - expected[p]) <= tolerance * magnitude[p]))
          fail(number, "image " + std::to_string(image) + ", channel " + std::to_string(c) +
                           ", pixel " + std::to_string(p) + ": " +
                           std::to_string(result.filtered[first + p]) + " instead of " +
                           std::to_string(expected[p]));
      double scale = 0;
      for (const double m : magnitude) scale += m;
      if (!call.region.empty()) check_sums(number, call, result, image, c, scale);
    }
  }
}

// What is not finite must be refused, as the argument that it is in.
template <class T>
void check_refusal(int64_t number, Call<T> call, const InstructionSet& run, Random& random) {
  const double bad[] = {NAN, INFINITY, -INFINITY};
  const bool in_values = random.chance(0.5);
  auto& target = in_values ? call.values : call.planes;
  target[random.integer(0, int64_t(target.size()) - 1)] = T(bad[random.integer(0, 2)]);
  Result<T> result;
  try {
    if (!filter(number, call, run, result)) return;  // too large, whatever the values
  } catch (const std::domain_error&) {
    if (!in_values) return;
  } catch (const std::invalid_argument&) {
    if (in_values) return;
  }
  fail(number, in_values ? "NaN in the values went through" : "NaN in the planes went through");
}

template <class T>
void check_call(int64_t number, const InstructionSet& run, Random& random) {
  const auto call = random_call<T>(random);
  if (random.chance(0.05)) return check_refusal(number, call, run, random);
  Result<T> result;
  if (filter(number, call, run, result)) return check_result(number, call, result);
  // float may lose the position from bandwidths of 0.1 on; double resolves all that is made here.
  const bool fine =
      call.bandwidth > T(1) && (!call.with_position || call.position_bandwidth > T(1));
  if (sizeof(T) == 8 || fine) fail(number, "refused");
}

void check_number(int64_t number) {
  static const auto sets = instruction_sets();
  Random random(uint64_t(number) * UINT64_C(0x9E3779B97F4A7C15));
  const auto& run = sets[random.integer(0, int64_t(sets.size()) - 1)];
  if (random.chance(0.7))
    check_call<float>(number, run, random);
  else
    check_call<double>(number, run, random);
}

}  // namespace

int main(int count, char** arguments) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const auto argument = [&](int i, int64_t fallback) {
    return count > i ? std::atoll(arguments[i]) : fallback;
  };
  const int64_t calls = argument(1, 20000), callers = argument(2, 1), first = argument(3, 0);
  std::atomic<int64_t> next{first};
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < callers; ++i)
    threads.emplace_back([&] {
      for (int64_t number = next++; number < first + calls; number = next++) {
        check_number(number);
        if (number % 1000 == 999) std::printf("%lld calls\n", (long long)number + 1);
      }
    });
  for (auto& thread : threads) thread.join();
  std::printf("%lld calls passed\n", (long long)calls);
}

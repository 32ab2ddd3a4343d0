// Keys of lattice points, and the hash table that numbers them.
#pragma once

#include "../simd.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

// A key is a linear function of a point's coordinates, sum_i u_i stride_i in modular arithmetic,
// so that a step along an axis adds or subtracts that axis' stride. For the two integer keys the
// strides are a mixed radix in which the ranges of the coordinates fit: equal keys, equal points.
using Key32 = uint32_t;
using Key64 = uint64_t;

// For ranges beyond 64 bits: two linear functions with random odd strides. Two of a million points
// share a key with a probability below 2^-80.
struct KeyWide {
  uint64_t low, high;
  bool operator==(const KeyWide& other) const { return low == other.low && high == other.high; }
  KeyWide& operator+=(const KeyWide& other) {
    low += other.low;
    high += other.high;
    return *this;
  }
  KeyWide& operator-=(const KeyWide& other) {
    low -= other.low;
    high -= other.high;
    return *this;
  }
  friend KeyWide operator*(int64_t factor, const KeyWide& key) {
    return {uint64_t(factor) * key.low, uint64_t(factor) * key.high};
  }
};

// Fibonacci hashing: the top bits of a product with 2^bits over the golden ratio.
MMSEG_RLOSS_INLINE uint64_t hash_top(Key32 key, int bits) {
  return (key * UINT32_C(0x9E3779B1)) >> (32 - bits);
}
MMSEG_RLOSS_INLINE uint64_t hash_top(Key64 key, int bits) {
  return (key * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - bits);
}
MMSEG_RLOSS_INLINE uint64_t hash_top(const KeyWide& key, int bits) {
  return hash_top(key.low ^ (key.high >> 32), bits);
}

// Numbers the distinct keys in the order in which they come.
template <class Key>
class PointTable {
 public:
  explicit PointTable(int64_t expected) {
    // Mostly empty: a search that goes beyond its first slot costs a mispredicted branch.
    while ((int64_t(1) << bits_) < 4 * expected) ++bits_;
    entries_.assign(size_t(1) << bits_, Entry{Key{}, kAbsent});
  }

  static constexpr int32_t kAbsent = -1;

  // The numbers of some keys; those that are new are given one.
  MMSEG_RLOSS_INLINE void insert(const Key* keys, int64_t count, int32_t* numbers) {
    // Local copies: the compiler cannot know that storing a number leaves the members alone.
    const Entry* entries = entries_.data();
    size_t last = entries_.size() - 1;
    int bits = bits_;
    for (int64_t i = 0; i < count; ++i) {
      const Key key = keys[i];
      size_t slot = hash_top(key, bits);
      while (entries[slot].number != kAbsent && !(entries[slot].key == key))
        slot = (slot + 1) & last;
      numbers[i] = entries[slot].number;
      if (numbers[i] != kAbsent) continue;
      numbers[i] = add(slot, key);
      entries = entries_.data();
      last = entries_.size() - 1;
      bits = bits_;
    }
  }

  // The number of a key, kAbsent where it has none.
  MMSEG_RLOSS_INLINE int32_t find(const Key& key) const {
    for (size_t slot = hash_top(key, bits_);; slot = (slot + 1) & (entries_.size() - 1)) {
      const Entry& entry = entries_[slot];
      if (entry.number == kAbsent || entry.key == key) return entry.number;
    }
  }

  const std::vector<Key>& keys() const { return keys_; }

 private:
  struct Entry {
    Key key;
    int32_t number;
  };

  __attribute__((noinline)) int32_t add(size_t slot, const Key& key) {
    const int32_t number = int32_t(keys_.size());
    if (number == std::numeric_limits<int32_t>::max())
      throw std::length_error("more than 2^31 lattice points");
    keys_.push_back(key);
    entries_[slot] = {key, number};
    if (2 * keys_.size() > entries_.size()) grow();
    return number;
  }

  void grow() {
    ++bits_;
    entries_.assign(size_t(1) << bits_, Entry{Key{}, kAbsent});
    for (size_t number = 0; number < keys_.size(); ++number) {
      size_t slot = hash_top(keys_[number], bits_);
      while (entries_[slot].number != kAbsent) slot = (slot + 1) & (entries_.size() - 1);
      entries_[slot] = {keys_[number], int32_t(number)};
    }
  }

  int bits_ = 6;
  std::vector<Entry> entries_;
  std::vector<Key> keys_;
};

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

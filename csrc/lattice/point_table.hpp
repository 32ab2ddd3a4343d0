// Keys of lattice points, and the hash table that numbers them.
#pragma once

#include "../simd.hpp"

namespace mmseg_rloss::MMSEG_RLOSS_ISA {

// A key is a linear function of a point's coordinates, sum_i u_i stride_i in modular arithmetic,
// so that a step along an axis adds or subtracts that axis' stride. For the two integer keys the
// strides are a mixed radix in which the ranges of the coordinates fit: equal keys, equal points.
using Key32 = uint32_t;
using Key64 = uint64_t;

// For ranges beyond 64 bits: two linear functions with random odd strides. Two of ten million
// points share a key with a probability below 2^-75.
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

// A slot of a hash table: the key and its number.
template <class Key>
struct TableEntry {
  static constexpr int64_t kSlotsPerKey = 4;
  Key key;
  int32_t number;

  static TableEntry of(const Key& key, int32_t number) { return {key, number}; }
  bool holds(const Key& other, const Key*) const { return key == other; }
};

// Wide keys come with many dimensions, where a table of them would outgrow all else: a part of the
// key stands in the slot, and the whole one is looked up where that agrees.
template <>
struct TableEntry<KeyWide> {
  static constexpr int64_t kSlotsPerKey = 2;
  uint32_t tag;
  int32_t number;

  static TableEntry of(const KeyWide& key, int32_t number) { return {uint32_t(key.high), number}; }
  bool holds(const KeyWide& other, const KeyWide* keys) const {
    return tag == uint32_t(other.high) && keys[number] == other;
  }
};

// Numbers the distinct keys in the order in which they come.
template <class Key>
class PointTable {
 public:
  explicit PointTable(int64_t expected) {
    // Mostly empty: a search that goes beyond its first slot costs a mispredicted branch.
    while ((int64_t(1) << bits_) < Entry::kSlotsPerKey * expected) ++bits_;
    entries_.assign(size_t(1) << bits_, Entry::of(Key{}, kAbsent));
    keys_.reserve(expected);
  }

  static constexpr int32_t kAbsent = -1;

  // The numbers of some keys; those that are new are given one.
  MMSEG_RLOSS_INLINE void insert(const Key* keys, int64_t count, int32_t* numbers) {
    // Local copies: the compiler cannot know that storing a number leaves the members alone.
    const Entry* entries = entries_.data();
    const Key* known = keys_.data();
    size_t last = entries_.size() - 1;
    int bits = bits_;
    for (int64_t i = 0; i < count; ++i) {
      const Key key = keys[i];
      size_t slot = hash_top(key, bits);
      while (entries[slot].number != kAbsent && !entries[slot].holds(key, known))
        slot = (slot + 1) & last;
      numbers[i] = entries[slot].number;
      if (numbers[i] != kAbsent) continue;
      numbers[i] = add(slot, key);
      entries = entries_.data();
      known = keys_.data();
      last = entries_.size() - 1;
      bits = bits_;
    }
  }

  // The number of a key, kAbsent where it has none.
  MMSEG_RLOSS_INLINE int32_t find(const Key& key) const {
    for (size_t slot = hash_top(key, bits_);; slot = (slot + 1) & (entries_.size() - 1)) {
      const Entry& entry = entries_[slot];
      if (entry.number == kAbsent || entry.holds(key, keys_.data())) return entry.number;
    }
  }

  const std::vector<Key>& keys() const { return keys_; }

 private:
  using Entry = TableEntry<Key>;

  MMSEG_RLOSS_NOINLINE int32_t add(size_t slot, const Key& key) {
    const int32_t number = int32_t(keys_.size());
    if (number == std::numeric_limits<int32_t>::max())
      throw std::length_error("more than 2^31 lattice points");
    keys_.push_back(key);
    entries_[slot] = Entry::of(key, number);
    if (2 * keys_.size() > entries_.size()) grow();
    return number;
  }

  void grow() {
    ++bits_;
    entries_.assign(size_t(1) << bits_, Entry::of(Key{}, kAbsent));
    for (size_t number = 0; number < keys_.size(); ++number) {
      size_t slot = hash_top(keys_[number], bits_);
      while (entries_[slot].number != kAbsent) slot = (slot + 1) & (entries_.size() - 1);
      entries_[slot] = Entry::of(keys_[number], int32_t(number));
    }
  }

  int bits_ = 6;
  std::vector<Entry> entries_;
  std::vector<Key> keys_;
};

// Tells from 16 bits per key that most others are not among them: a Bloom filter of three bits, all
// in one word, which stays in the cache where a table of the keys does not.
class KeyFilter {
 public:
  explicit KeyFilter(const std::vector<KeyWide>& keys) {
    while ((size_t(4) << bits_) < keys.size()) ++bits_;
    words_.assign(size_t(1) << bits_, 0);
    for (const KeyWide& key : keys) words_[word_of(key)] |= mask_of(key);
  }

  MMSEG_RLOSS_INLINE bool may_hold(const KeyWide& key) const {
    return !(mask_of(key) & ~words_[word_of(key)]);
  }

 private:
  MMSEG_RLOSS_INLINE size_t word_of(const KeyWide& key) const { return hash_top(key.low, bits_); }
  static MMSEG_RLOSS_INLINE uint64_t mask_of(const KeyWide& key) {
    const uint64_t hash = hash_top(key.high, 18);
    const auto bit = [hash](int place) { return uint64_t(1) << (hash >> place & 63); };
    return bit(0) | bit(6) | bit(12);
  }

  int bits_ = 1;
  std::vector<uint64_t> words_;
};

}  // namespace mmseg_rloss::MMSEG_RLOSS_ISA

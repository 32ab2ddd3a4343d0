// Memory for large arrays.
#pragma once

#include <cstddef>
#include <memory>

namespace mmseg_rloss {

// Memory that starts at a cache line, without the cost of filling it. Throws std::bad_alloc.
void* allocate(size_t size);
void release(void* memory);

// Ask the system for large pages where memory that has not been touched yet holds some.
void advise_huge_pages(void* memory, size_t size);

// A result of so many bytes has left the caches by the time that it is read.
constexpr size_t kLarge = size_t(32) << 20;

// Copy to memory that will not be read soon: past the caches, where the processor can, which spares
// it the reading of what is overwritten. Other threads may see it after finish_copies().
void copy_past_caches(const void* from, size_t size, void* to);
void finish_copies();

// An array whose elements are not set.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) : data_(static_cast<T*>(allocate(size * sizeof(T)))) {}
  T* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* data) const { release(data); }
  };
  std::unique_ptr<T[], Free> data_;
};

}  // namespace mmseg_rloss

// Memory for large arrays.
#pragma once

#include <cstddef>
#include <memory>

namespace mmseg_rloss {

// Memory that starts at a cache line, without the cost of filling it. Throws std::bad_alloc.
void* allocate(size_t size);
void release(void* memory);

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

// Ask the system for large pages where memory that has not been touched yet holds some.
void advise_huge_pages(void* memory, size_t size);

}  // namespace mmseg_rloss

#include "parallel.hpp"

#include <chrono>
#include <system_error>

namespace mmseg_rloss {
namespace {

// Stages follow each other at once, and waking a thread takes as long as a short stage: wait awake
// for a moment, though never in the way of other threads.
template <class Condition>
void await_briefly(Condition&& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(200);
  while (!condition() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
}

}  // namespace

Team::Team(int num_threads) {
  try {
    for (int i = 1; i < num_threads; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // The machine gives no more threads: those that it gave share the work.
  }
}

Team::~Team() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Team::for_each(int64_t num_tasks, const std::function<void(int64_t)>& task) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    task_ = &task;
    num_tasks_ = num_tasks;
    next_ = 0;
    error_ = nullptr;
    busy_ = threads_.size();
    ++round_;
  }
  start_.notify_all();
  run_tasks();
  await_briefly([this] { return busy_ == 0; });
  std::unique_lock<std::mutex> lock(mutex_);
  finish_.wait(lock, [this] { return busy_ == 0; });
  if (error_) std::rethrow_exception(error_);
}

void Team::work() {
  uint64_t round = 0;
  while (true) {
    await_briefly([&] { return stop_ || round_ != round; });
    std::unique_lock<std::mutex> lock(mutex_);
    start_.wait(lock, [&] { return stop_ || round_ != round; });
    if (stop_) return;
    round = round_;
    lock.unlock();
    run_tasks();
    lock.lock();
    if (--busy_ == 0) finish_.notify_one();
  }
}

void Team::run_tasks() {
  for (int64_t i = next_++; i < num_tasks_; i = next_++) {
    try {
      (*task_)(i);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!error_) error_ = std::current_exception();
      next_ = num_tasks_;
    }
  }
}

}  // namespace mmseg_rloss

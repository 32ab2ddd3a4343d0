#include "parallel.hpp"

#include <chrono>
#include <system_error>

namespace mmseg_rloss {

Team::Team(int num_threads) : items_(num_threads) {
  try {
    for (int i = 1; i < num_threads; ++i) threads_.emplace_back([this] { work(false); });
  } catch (const std::system_error&) {
    // The machine gives no more threads: those that it gave share the work.
  }
}

Team::~Team() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    announce_change();
  }
  for (auto& thread : threads_) thread.join();
}

void Team::run(int64_t num_items, const std::vector<Step>& steps) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    steps_ = &steps;
    num_items_ = num_items;
    next_item_ = 0;
    announce_change();
  }
  work(true);
  if (error_) std::rethrow_exception(error_);
}

// Run tasks until all are done or, where more may come, until the team ends.
void Team::work(bool until_done) {
  std::unique_lock<std::mutex> lock(mutex_);
  int64_t mine = kNone;
  while (true) {
    if (Item* const item = choose(mine)) {
      mine = item->number;
      run_task(*item, lock);
    } else if (until_done ? running_tasks_ == 0 : stop_) {
      return;  // What nobody can begin and nobody runs is done.
    } else {
      await_change(lock);
    }
  }
}

// An item that has a task to begin, or none.
Team::Item* Team::choose(int64_t preferred) {
  if (error_) return nullptr;
  Item *vacant = nullptr, *other = nullptr;
  for (Item& item : items_) {
    if (item.number == kNone) {
      vacant = &item;
    } else if (item.next_task < (*steps_)[item.step].num_tasks) {
      if (item.number == preferred) return &item;
      other = &item;
    }
  }
  if (!vacant || next_item_ == num_items_) return other;
  vacant->number = next_item_++;
  begin_step(*vacant, 0);
  return vacant;
}

void Team::begin_step(Item& item, size_t step) {
  item.step = step;
  item.next_task = 0;
  item.unfinished_tasks = (*steps_)[step].num_tasks;
}

void Team::run_task(Item& item, std::unique_lock<std::mutex>& lock) {
  const auto& run = (*steps_)[item.step].run;
  const int64_t number = item.number, task = item.next_task++;
  ++running_tasks_;
  lock.unlock();
  std::exception_ptr error;
  try {
    run(number, task);
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  --running_tasks_;
  if (!error_) error_ = error;
  if (error_) return announce_change();
  if (--item.unfinished_tasks > 0) return;
  if (item.step + 1 < steps_->size()) {
    begin_step(item, item.step + 1);
  } else {
    item.number = kNone;
  }
  announce_change();
}

// Waking a thread takes as long as a short task: wait awake for a moment, though never in the way
// of other threads.
void Team::await_change(std::unique_lock<std::mutex>& lock) {
  const uint64_t seen = changes_;
  lock.unlock();
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(200);
  while (changes_ == seen && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  lock.lock();
  change_.wait(lock, [&] { return changes_ != seen; });
}

void Team::announce_change() {
  ++changes_;
  change_.notify_all();
}

}  // namespace mmseg_rloss

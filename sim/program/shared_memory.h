// One object that a process shares with those that it forks from then on. It is made anew, of
// zeroes, and destroyed nowhere: what it holds has to be trivial to leave, such as atomics.
#pragma once

#include <new>
#include <type_traits>

#include <sys/mman.h>

namespace program {

template <typename T>
class SharedMemory {
 public:
  SharedMemory() {
    static_assert(std::is_trivially_destructible_v<T>);
    void* const memory =
        mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc{};
    object_ = new (memory) T;
  }
  ~SharedMemory() { munmap(object_, sizeof(T)); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }

 private:
  T* object_;
};

}   // namespace program

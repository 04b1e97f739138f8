// Where operator new takes memory from while a program runs under the tank: sim/library has the
// heap itself, and the operator new that asks here.
#pragma once

#include <utility>

namespace sim {

class ProgramHeap;

// Of what runs on this thread; null: new is as ever. Fibers never change thread.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
extern constinit thread_local ProgramHeap* t_program_heap;

// While it lives new is as ever: for the tank's own affairs in the midst of a program. No fiber may
// be switched meanwhile.
class TanksOwnMemory {
 public:
  TanksOwnMemory() noexcept : programs_{std::exchange(t_program_heap, nullptr)} {}
  ~TanksOwnMemory() { t_program_heap = programs_; }
  TanksOwnMemory(const TanksOwnMemory&) = delete;
  TanksOwnMemory& operator=(const TanksOwnMemory&) = delete;

 private:
  ProgramHeap* programs_;
};

}   // namespace sim

// What a bounded search has seen: beginnings of executions, and classes of whole ones. Of one
// process, or of several that search together.
//
// Open addressing in memory that is reserved once and used as far as need be, so that processes
// forked later have it in common. Memory: 24 bytes for each beginning and 8 for each class, in
// tables that are a quarter to a half full.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>

#include "sim/process_mutex.h"

namespace sim {

class StatesSeen {
 public:
  enum class Of : bool { this_process, all_forked };
  explicit StatesSeen(Of whom = Of::this_process);
  ~StatesSeen();
  StatesSeen(const StatesSeen&) = delete;
  StatesSeen& operator=(const StatesSeen&) = delete;

  // The beginning with the hash `state` was reached for so many preemptions, with those ways
  // asleep: which are to be followed from there that have not been, for as many preemptions or
  // fewer? Those count as followed from now on.
  [[nodiscard]] std::uint64_t enter(std::uint64_t state, std::uint32_t preemptions,
                                    std::uint64_t asleep);
  // True: it is new.
  bool add_class(std::uint64_t hash);
  [[nodiscard]] std::uint64_t states() const;
  [[nodiscard]] std::uint64_t classes() const;
  // The beginnings. Nobody else may be using them.
  void forget_states();

 private:
  struct Beginning {
    std::uint64_t key;
    std::uint64_t asleep;        // ways that were not followed
    std::uint64_t preemptions;   // the fewest it was followed with
  };
  struct Class {
    std::uint64_t key;
  };
  struct Shared {
    ProcessMutex mutex;
    std::uint64_t used[2];
    std::uint64_t capacity[2];
  };
  template <typename Entry>
  struct Table {
    Entry* entries = nullptr;
    std::uint64_t* used = nullptr;       // in Shared
    std::uint64_t* capacity = nullptr;   // a power of two; in Shared
    std::size_t bytes = 0;               // reserved
    // Where `key` is, or would be.
    [[nodiscard]] Entry& find(std::uint64_t key);
    [[nodiscard]] Entry& slot(std::uint64_t key) const;
    void grow();
    void clear();
  };
  [[nodiscard]] std::unique_lock<ProcessMutex> guard() const;

  [[nodiscard]] std::byte* map(std::size_t bytes) const;   // null: there is no room
  template <typename Entry>
  [[nodiscard]] Table<Entry> make(std::size_t number) const;

  Of of_;
  Shared* shared_;
  Table<Beginning> beginnings_;
  Table<Class> classes_;
};

}   // namespace sim

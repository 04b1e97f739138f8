// What a bounded search has seen: beginnings of executions, and classes of whole ones. Of one
// process, or of several that search together.
//
// Open addressing in memory that is reserved once and used as far as need be, so that processes
// forked later have it in common. Memory: 24 bytes for each beginning and 8 for each class, in
// tables that are a quarter to a half full; when there may be no more of it, up to three quarters.
// What comes after that is forgotten: who asks is told that it is new, so that it is searched each
// time that it is reached. That costs time, and leaves nothing out.
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
  static constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 30U;
  // At most so many bytes, but for a handful of entries that it has in any case.
  explicit StatesSeen(Of whom = Of::this_process, std::uint64_t bytes_max = kBytesMax);
  ~StatesSeen();
  StatesSeen(const StatesSeen&) = delete;
  StatesSeen& operator=(const StatesSeen&) = delete;

  // The beginning with the hash `state` was reached for so many preemptions, with those ways
  // asleep: which are to be followed from there that have not been, for as many preemptions or
  // fewer? Those count as followed from now on.
  [[nodiscard]] std::uint64_t enter(std::uint64_t state, std::uint32_t preemptions,
                                    std::uint64_t asleep);
  // True: it is new, as far as is known.
  bool add_class(std::uint64_t hash);
  [[nodiscard]] std::uint64_t states() const;
  // All that were new.
  [[nodiscard]] std::uint64_t classes() const;
  // How often there was no room for one: a beginning, or a class, which may have been counted
  // before.
  struct Forgotten {
    std::uint64_t states = 0;
    std::uint64_t classes = 0;
  };
  [[nodiscard]] Forgotten forgotten() const;
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
    Forgotten forgotten;
  };
  template <typename Entry>
  struct Table {
    Entry* entries = nullptr;
    std::uint64_t* used = nullptr;       // in Shared
    std::uint64_t* capacity = nullptr;   // in Shared
    std::uint64_t capacity_max = 0;      // which is reserved
    // Where `key` is, or would be; null: there is no room for it.
    [[nodiscard]] Entry* find(std::uint64_t key);
    [[nodiscard]] Entry& slot(std::uint64_t key) const;
    [[nodiscard]] bool grow();   // false: it has grown as far as it may
    void clear();
    [[nodiscard]] std::uint64_t capacity_min() const;
  };
  [[nodiscard]] std::unique_lock<ProcessMutex> guard() const;

  [[nodiscard]] std::byte* map(std::size_t bytes) const;   // null: there is no room
  template <typename Entry>
  [[nodiscard]] Table<Entry> make(std::size_t number, std::uint64_t capacity_max) const;

  Of of_;
  Shared* shared_;
  Table<Beginning> beginnings_;
  Table<Class> classes_;
};

}   // namespace sim

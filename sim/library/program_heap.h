// The memory that programs take with new while they run, apart from all other: so what there is of
// it and what has been given back is known block by block, and nothing that was ever said about
// other memory can be mistaken for a pointer into it.
//
// There are as many as there are runs that are looked at at the same time; each is used by one
// thread at a time. A block may be given back at any time by anyone.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace sim {

// Does nothing, but for bringing operator_new.cc.
void link_operator_new() noexcept;

class ProgramHeap {
 public:
  // Without its address, so that who looks for pointers to it does not find them here.
  struct Block {
    std::size_t offset = 0;   // from begin()
    std::size_t room = 0;
    std::size_t bytes = 0;       // of it, as they were asked for
    std::uint32_t run = 0;       // in which it was taken
    std::uint32_t ordinal = 0;   // of its taking, in that run
  };

  // For a thread until it lets it go. Null: all that there may be are in use, operator new is not
  // ours or a sanitizer's, or there is no room for its addresses.
  static ProgramHeap* acquire();
  static constexpr std::uint32_t kHeapsMax = 64;
  void let_go() noexcept;

  // Told of each block as it is taken, in the order of their ordinals.
  class Watcher {
   public:
    virtual void taken() = 0;

   protected:
    ~Watcher() = default;
  };
  // From now on blocks belong to another run. Its number. `watcher` may be null.
  std::uint32_t begin_run(Watcher* watcher) noexcept;
  // Blocks of this run.
  [[nodiscard]] std::uint32_t left() const noexcept { return left_; }
  // All that are there, of any run, by their places.
  [[nodiscard]] std::vector<Block> blocks() const;
  [[nodiscard]] std::uintptr_t begin() const noexcept { return begin_; }
  [[nodiscard]] std::uintptr_t end() const noexcept;

  // --- operator new and delete ---
  // Null when there is no more room here.
  void* take(std::size_t bytes, std::size_t alignment) noexcept;
  // False: it is not from here. Whoever still uses it goes wrong at once, and in the same way each
  // time: it is filled, and nobody may touch the pages of a large block.
  static bool give_back(void* memory) noexcept;
  // The size of the block there, if it has been given back.
  static std::optional<std::size_t> given_back_at(const void* address) noexcept;

 private:
  // Before each block, and once more right before the memory of one that is moved up to be aligned.
  struct Head {
    std::size_t room = 0;   // behind the head
    std::size_t bytes = 0;
    std::uint32_t run = 0;
    std::uint32_t ordinal = 0;
    std::uint32_t moved = 0;   // so many bytes from the block's own head to this one
    std::atomic<bool> live{false};
    bool closed = false;   // nobody may touch its pages
  };
  static_assert(sizeof(Head) == 32);
  static constexpr std::size_t kSmall = 1024;   // in steps of a sixteenth of it below; then doubled
  static constexpr std::size_t kStep = 16;
  static constexpr std::size_t kClasses = kSmall / kStep + 40;

  explicit ProgramHeap(std::byte* reserved) noexcept;
  static ProgramHeap* make() noexcept;
  static ProgramHeap* of(const void* memory) noexcept;   // null: from none
  [[nodiscard]] bool take_into_use() noexcept;
  [[nodiscard]] static std::size_t class_of(std::size_t bytes) noexcept;
  [[nodiscard]] static std::size_t room_of(std::size_t size_class) noexcept;
  Head* fresh(std::size_t room) noexcept;
  void close_or_fill(Head& head, std::byte* memory) noexcept;
  static bool open(Head& head) noexcept;

  std::uintptr_t begin_;
  std::byte* next_;       // not used yet
  std::byte* writable_;   // up to here
  std::array<std::vector<Head*>, kClasses> free_;
  std::uint32_t run_ = 0;
  std::uint32_t ordinal_ = 0;
  std::uint32_t left_ = 0;
  std::uint32_t closed_ = 0;   // by this run
  Watcher* watcher_ = nullptr;
  std::atomic<bool> in_use_{false};
  std::atomic<std::uint64_t> owner_{0};   // the thread that may put blocks on free lists
};

}   // namespace sim

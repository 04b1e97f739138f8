// A table: consecutive targets that cover a mapped device from its first sector to its last, and
// the pools that its bios come from.
//
// The text form is device-mapper's, one line per target: "<start> <sectors> <type> <argument>...".
// Blank lines and lines that begin with '#' are skipped. A table that exists is whole: targets
// without gap or overlap, in order. Destroying it destroys the last target first.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/env/block_device.h"
#include "engine/io/object_pool.h"
#include "engine/io/target.h"

namespace engine::dm {

// A submitted bio that was cut into several pieces, or into a flush and data.
struct SplitBio {
  Bio* parent = nullptr;
  SyncObject pieces{SyncObject::Quiet::yes, "dm.pieces"};
  bool flushing = false;                   // the flush pieces are under way; data comes after
  std::atomic<std::uint32_t> missing{0};   // pieces, plus one while pieces are being made
  std::atomic<Errc> status{Errc::ok};      // requeue before any error before ok
};

class Table {
 public:
  // Suspends: target constructors may do I/O. Errors: `where` is the number of the line, from 0,
  // `what` the target's text. Nothing is left behind then.
  static Result<std::unique_ptr<Table>> parse(const io::TargetRegistry& registry,
                                              const io::TargetContext& context,
                                              std::string_view text);
  // Suspends, as destructors of targets may. No bio is in flight.
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  [[nodiscard]] std::uint64_t sectors() const noexcept { return sectors_; }
  struct Row {
    std::unique_ptr<io::Target> target;
    io::TargetLimits limits;   // as of the last preresume
  };
  [[nodiscard]] const std::vector<Row>& rows() const noexcept { return rows_; }
  // The row that holds `sector`, which is below sectors().
  [[nodiscard]] const Row& find(Sector sector) const noexcept {
    if (rows_.size() == 1) [[likely]]
      return rows_.front();
    return find_among_many(sector);
  }
  // Of the whole: what every target can do.
  [[nodiscard]] DeviceLimits device_limits() const noexcept;
  // The type name of a target that may be replaced by its like only; else empty.
  [[nodiscard]] std::string_view immutable_type() const noexcept { return immutable_type_; }

  // All suspend; for every target in order.
  void presuspend(io::SuspendKind kind);
  void postsuspend();
  // Stops at the first failure.
  Result<void> preresume();
  void resume();

  // "<start> <sectors> <type> <...>" per target, as `table` and `status` show it.
  [[nodiscard]] std::string table_text() const;
  [[nodiscard]] std::string status_text(io::StatusCommit commit) const;

  // For the mapped device.
  io::ObjectPool<io::MappedBio> bios{"dm.bios"};
  io::ObjectPool<SplitBio> splits{"dm.splits"};

 private:
  Table() = default;
  Result<void> add_line(const io::TargetRegistry& registry, const io::TargetContext& context,
                        std::string_view line, std::size_t targets_in_table);
  [[nodiscard]] const Row& find_among_many(Sector sector) const noexcept;

  std::vector<Row> rows_;
  std::uint64_t sectors_ = 0;
  std::string_view immutable_type_;
};

// For users: the line of `text` that `error` of Table::parse speaks of, and what is wrong with it.
[[nodiscard]] std::string describe_table_error(std::string_view text, const Error& error);

// Splits at blanks.
[[nodiscard]] std::vector<std::string_view> split_words(std::string_view text);

}   // namespace engine::dm

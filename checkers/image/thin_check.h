// The offline checker of dm-thin metadata: every rule of docs/format/checker.md, on a committed
// image, hostile or not. It reads and reports; it shares no code with what writes metadata. Counts
// are exact when the whole of the image could be walked; otherwise counts that are too high are not
// reported, as what refers to those blocks may lie in the part that is lost.
//
// Not checked: the data device's contents; that the superblock's time never decreased between two
// commits (see check_succession); fields that no reader looks at (uuid, unused slots of nodes, the
// padding of the space map roots).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "checkers/image/block_source.h"
#include "checkers/image/findings.h"
#include "checkers/image/thin_image.h"

namespace checkers::image {

struct CheckOptions {
  // Size of the data device in data blocks; without it nr_blocks of the data map is believed.
  std::optional<std::uint64_t> data_device_blocks;
  std::size_t findings_per_rule{20};
};

struct ThinDevice {
  std::uint64_t id{0};
  std::uint64_t root{0};   // of its mapping tree
  std::uint64_t mapped_blocks{0};
  std::uint64_t transaction_id{0};
  std::uint32_t creation_time{0};
  std::uint32_t snapshotted_time{0};
  std::uint64_t mappings{0};   // counted in its tree

  friend bool operator==(const ThinDevice&, const ThinDevice&) = default;
};

struct ThinReport {
  Findings findings;
  bool readable{false};   // the superblock could be made sense of; else nothing below is filled
  Superblock superblock;
  bool complete{false};   // every reachable block was read: the counts below are exact
  std::uint64_t metadata_allocated{0};
  std::uint64_t data_allocated{0};
  std::uint64_t distinct_mappings{0};   // a leaf shared by devices counts once
  std::uint64_t blocks_read{0};
  std::vector<ThinDevice> devices;        // by id
  std::vector<ThinDevice> held_devices;   // of the metadata snapshot

  [[nodiscard]] CheckOutcome outcome() const { return outcome_of(findings); }
  // 0 clean (warnings are no damage), 1 leaks only, 2 damaged.
  [[nodiscard]] int exit_code() const { return static_cast<int>(outcome()); }
};

// Reuses its memory from image to image: for many small images keep one.
class ThinChecker {
 public:
  ThinChecker();
  ~ThinChecker();
  ThinChecker(const ThinChecker&) = delete;
  ThinChecker& operator=(const ThinChecker&) = delete;

  // The report stays until the next check.
  const ThinReport& check(BlockSource& source, const CheckOptions& options = {});

  // References that the last check found to a block; 0 outside.
  [[nodiscard]] std::uint64_t metadata_refs(std::uint64_t block) const;
  [[nodiscard]] std::uint64_t data_refs(std::uint64_t block) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

[[nodiscard]] ThinReport check_thin(BlockSource& source, const CheckOptions& options = {});

// What must hold between two checked images of one pool, the later one committed after the earlier:
// the time never decreases, sizes never shrink. Adds to `findings`.
void check_succession(const Superblock& earlier, const Superblock& later, Findings& findings);

}   // namespace checkers::image

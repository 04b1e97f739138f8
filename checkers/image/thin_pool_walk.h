// The trees of a pool: device tree, top mapping tree and each device's mapping tree, first of the
// live pool and then of the copy that a metadata snapshot holds.
//
// Live devices are walked in the order of their snapshotted times. So the first to reach a node has
// the lowest of all that share it, and one comparison, made when a mapping is first seen or when
// its node is reached again, decides whether every sharer takes it for shared.
#pragma once

#include <cstdint>
#include <vector>

#include "checkers/image/data_counts.h"
#include "checkers/image/thin_check.h"
#include "checkers/image/thin_image.h"
#include "checkers/image/thin_walk.h"

namespace checkers::image {

class ThinPoolWalk {
 public:
  ThinPoolWalk(ThinImage& image, TreeWalk& walk, DataCounts& data)
      : image_{image}, walk_{walk}, data_{data} {}

  // Fills both lists, each sorted by device id.
  void walk(const Superblock& super, std::vector<ThinDevice>& live, std::vector<ThinDevice>& held);

  [[nodiscard]] std::uint64_t distinct_mappings() const { return distinct_mappings_; }

  // Looks up who maps the data blocks that rule 17 found unsound, and says so.
  void explain_unsound(const std::vector<ThinDevice>& live,
                       const std::vector<std::uint64_t>& unsound);

  static constexpr std::uint32_t kHeldOwner = 1U << 31;   // owners of held walks have this bit

 private:
  struct Root {
    std::uint64_t id = 0;
    std::uint64_t block = 0;
    Pointer from;
    ThinImage::Counted counted{};
  };
  struct Record {   // a device record and where it lies
    ThinDevice device;
    Pointer from;
    bool has_root{false};
    bool has_details{true};
    Root root{};
  };
  // One use of an unsound data block.
  struct Use {
    std::uint64_t data_block;
    std::uint64_t virtual_block;
    std::uint64_t leaf;
    std::uint32_t time;
    std::size_t device;
  };
  struct DetailsVisitor;
  struct TopVisitor;
  struct MappingVisitor;

  void walk_roots(const Superblock& super, bool held, ThinImage::Counted counted);
  void join(const Superblock& super, bool details_complete, bool top_complete);
  void walk_devices(const Superblock& super, bool held);
  void check_record(const Superblock& super, const Record& record);
  void walk_held(const Superblock& super, std::vector<ThinDevice>& held);
  void collect(std::vector<ThinDevice>& devices);
  void find_uses(const std::vector<std::uint64_t>& unsound, std::size_t device, std::uint64_t block,
                 unsigned depth, std::vector<Use>& uses);

  ThinImage& image_;
  TreeWalk& walk_;
  DataCounts& data_;
  std::uint64_t distinct_mappings_{0};
  std::uint64_t data_blocks_{0};
  std::uint64_t budget_{0};   // nodes that an explanation may still look at
  std::vector<Record> records_;
  std::vector<Root> roots_;
  std::vector<std::uint32_t> order_;
  std::vector<std::uint32_t> snapshotted_;   // of each live owner
  std::vector<std::uint64_t> owner_ids_;     // device id of each live owner
};

}   // namespace checkers::image

// What a metadata image says that its devices hold: for comparison with what was meant, and as the
// XML that thin_dump prints of it. Reading stops at the first thing that is wrong; the checker is
// there to say what else is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkers/image/block_source.h"
#include "checkers/image/thin_check.h"

namespace checkers::image {

struct ThinMapping {
  std::uint64_t virtual_block{0};
  std::uint64_t data_block{0};
  std::uint32_t time{0};

  friend bool operator==(const ThinMapping&, const ThinMapping&) = default;
};

struct DumpedDevice {
  ThinDevice details;                  // mappings and root filled as well
  std::vector<ThinMapping> mappings;   // by virtual block

  friend bool operator==(const DumpedDevice&, const DumpedDevice&) = default;
};

struct ThinDump {
  Superblock superblock;               // of the held copy, when that was asked for
  std::vector<DumpedDevice> devices;   // by id
  std::string error;                   // empty: the dump is whole

  [[nodiscard]] bool ok() const { return error.empty(); }
  [[nodiscard]] const DumpedDevice* device(std::uint64_t id) const;
};

enum class DumpWhich : std::uint8_t { live, held };

// Takes the events of a dump in order; so a pool of any size can be written out as it is read.
class DumpSink {
 public:
  virtual ~DumpSink() = default;
  virtual void pool(const Superblock& superblock) = 0;
  virtual void device(const ThinDevice& device) = 0;   // its mappings follow
  virtual void mapping(const ThinMapping& mapping) = 0;
  virtual void device_end() = 0;
};

// Returns what was wrong, or nothing.
[[nodiscard]] std::string dump_thin_to(BlockSource& source, DumpSink& sink,
                                       DumpWhich which = DumpWhich::live);
[[nodiscard]] ThinDump dump_thin(BlockSource& source, DumpWhich which = DumpWhich::live);

// The text that thin_dump 0.9.0 prints; on damage `error` is set and the text stops there.
struct ThinXml {
  std::string text;
  std::string error;
};
[[nodiscard]] ThinXml dump_thin_xml(BlockSource& source, DumpWhich which = DumpWhich::live);

}   // namespace checkers::image

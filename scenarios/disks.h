// The disks that a system stands on, by the names that its tables use.
#pragma once

#include <cstdint>
#include <vector>

#include "scenarios/workload.h"

namespace scenarios {

inline constexpr const char* kSpareDisk = "spare";           // SystemSpec::spare_disk
inline constexpr const char* kExternalOrigin = "external";   // what thins may stand over

enum class DiskRole : std::uint8_t { metadata, data };

struct DiskSpec {
  const char* name;
  DiskRole role;
  std::uint64_t sectors;       // at first
  std::uint64_t sectors_max;   // what growing reaches
};

// The metadata disk first, the slowest data disk last.
[[nodiscard]] std::vector<DiskSpec> disks_of(const SystemSpec& system);

// The plainest system that leaves the same on its disks when it is made and taken down at once.
[[nodiscard]] SystemSpec shape_of(const SystemSpec& system);

}   // namespace scenarios

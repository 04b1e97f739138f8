// What the devices of a system are used for, and by whom: refuses a table that would use one in a
// way that destroys what another stands on.
//
// Keep: a range of a device that is a part of a pool or of a cache is that one's, in one role.
// Which pool or cache is meant is told by its metadata device, so the tables on one metadata,
// active or not, may name the same devices. What linear devices show of a device and what thins
// read as their external origin may overlap among themselves. The one exception is a device that is
// given a linear table in the place of its cache, or the other way round: only one of the two is
// ever active, and a linear table does nothing before it is.
//
// Compared are devices, not what they are made of: a linear device and the disk below it are two,
// and what keeps them apart is that the linear device has a claim on the disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/env/block_device.h"
#include "engine/fiber/waiters.h"

namespace engine::io {

class OwnerDevice;

enum class DeviceRole : std::uint8_t {
  pool_metadata,
  pool_data,
  cache_metadata,
  cache_fast,
  cache_origin,
  linear,            // read and written by whoever uses the linear device
  external_origin,   // only read
};

struct ClaimRequest {
  const BlockDevice* device = nullptr;
  DeviceRole role = DeviceRole::linear;
  const OwnerDevice* owner = nullptr;      // whose table it is
  const BlockDevice* metadata = nullptr;   // of the pool or cache
  Sector begin{0};
  std::uint64_t sectors = std::numeric_limits<std::uint64_t>::max();   // it may grow
};

class DeviceClaims;

// Lets go of the device when it goes. Movable.
class DeviceClaim {
 public:
  DeviceClaim() = default;
  ~DeviceClaim();
  DeviceClaim(DeviceClaim&& other) noexcept
      : claims_{std::exchange(other.claims_, nullptr)}, number_{other.number_} {}
  DeviceClaim& operator=(DeviceClaim&& other) noexcept {
    std::swap(claims_, other.claims_);
    std::swap(number_, other.number_);
    return *this;
  }

 private:
  friend class DeviceClaims;
  DeviceClaim(DeviceClaims& claims, std::uint64_t number) noexcept
      : claims_{&claims}, number_{number} {}

  DeviceClaims* claims_ = nullptr;
  std::uint64_t number_ = 0;
};

class DeviceClaims {
 public:
  DeviceClaims() = default;
  ~DeviceClaims();
  DeviceClaims(const DeviceClaims&) = delete;
  DeviceClaims& operator=(const DeviceClaims&) = delete;

  // Any context. Call it before anything is read of the device, and before a blank one is made
  // metadata. Refusal: busy, it is in use otherwise; the text says how.
  Result<DeviceClaim> claim(const ClaimRequest& request);

 private:
  friend class DeviceClaim;
  struct Held {
    ClaimRequest what;
    std::uint64_t number = 0;
  };
  [[nodiscard]] static bool compatible(const ClaimRequest& held, const ClaimRequest& wanted);
  void release(std::uint64_t number) noexcept;

  SyncObject object_{SyncObject::Quiet::yes, "device_claims"};
  RawLock lock_;
  std::vector<Held> held_;          // guarded by lock_
  std::uint64_t last_number_ = 0;   // guarded by lock_
};

}   // namespace engine::io

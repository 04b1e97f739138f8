// The devices that the caches of a system stand on, and what each is to whom.
//
// Keep: a device is one cache's, in one role. Which cache is meant is told by its metadata device,
// so the tables on one metadata, active or not, may name the same devices; another cache that wrote
// to one of them would destroy it, and so would one that takes another's disk for its metadata.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/result.h"
#include "engine/env/block_device.h"
#include "engine/fiber/waiters.h"

namespace engine::cache {

enum class DeviceRole : std::uint8_t { metadata, fast, origin };

class DeviceClaims;

// Lets go of the device when it goes. Movable.
class DeviceClaim {
 public:
  DeviceClaim() = default;
  ~DeviceClaim();
  DeviceClaim(DeviceClaim&& other) noexcept
      : claims_{std::exchange(other.claims_, nullptr)}, device_{other.device_} {}
  DeviceClaim& operator=(DeviceClaim&& other) noexcept {
    std::swap(claims_, other.claims_);
    std::swap(device_, other.device_);
    return *this;
  }

 private:
  friend class DeviceClaims;
  DeviceClaim(DeviceClaims& claims, const BlockDevice& device) noexcept
      : claims_{&claims}, device_{&device} {}

  DeviceClaims* claims_ = nullptr;
  const BlockDevice* device_ = nullptr;
};

class DeviceClaims {
 public:
  DeviceClaims() = default;
  ~DeviceClaims();
  DeviceClaims(const DeviceClaims&) = delete;
  DeviceClaims& operator=(const DeviceClaims&) = delete;

  // Any context. Refusal: busy, it is another cache's or has another role; the text says which.
  Result<DeviceClaim> claim(const BlockDevice& device, const BlockDevice& metadata,
                            DeviceRole role);

 private:
  friend class DeviceClaim;
  struct Held {
    const BlockDevice* device = nullptr;
    const BlockDevice* metadata = nullptr;   // of the cache whose it is
    DeviceRole role = DeviceRole::metadata;
    std::size_t claims = 0;   // by so many tables
  };
  void release(const BlockDevice& device) noexcept;

  RawLock lock_;
  std::vector<Held> held_;   // guarded by lock_
};

}   // namespace engine::cache

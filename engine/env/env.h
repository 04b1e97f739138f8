// What an engine is given: an executor, and the plain devices that tables may name.
#pragma once

#include <string_view>

#include "engine/base/result.h"
#include "engine/env/block_device.h"
#include "engine/fiber/executor.h"

namespace engine {

class DeviceDirectory {
 public:
  virtual ~DeviceDirectory() = default;
  // The device of that name, as a table line writes it: a path on real disks, a label in the tank.
  // It stays valid as long as the directory. Worker context: may suspend. Errors: not_found,
  // io_error.
  [[nodiscard]] virtual Result<BlockDevice*> find(std::string_view name) = 0;
  // The same for who will never write: it may be one that cannot be written.
  [[nodiscard]] virtual Result<BlockDevice*> find_read_only(std::string_view name) {
    return find(name);
  }
};

struct Env {
  Executor& executor;
  DeviceDirectory& devices;
};

}   // namespace engine

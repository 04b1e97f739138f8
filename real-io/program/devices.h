// The plain devices that tables may name: "metadata" and "data" of the served pool, and any path,
// opened when it is first named.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "engine/base/result.h"
#include "engine/env/env.h"
#include "engine/fiber/mutex.h"
#include "real-io/uring_device.h"

namespace wavetankd {

class Devices final : public engine::DeviceDirectory {
 public:
  explicit Devices(real_io::UringExecutor& executor) noexcept : executor_{executor} {}

  // Opens `path` under `label`, for a start: waits, with its thread, for a process that is going.
  // The error is one line for the user.
  [[nodiscard]] tl::expected<real_io::UringDevice*, std::string> open(const std::string& label,
                                                                      const std::string& path) {
    return open(label, path, real_io::OpenMode::read_write, real_io::WhenBusy::wait_on_thread);
  }
  // Any thread. Lets go of a device that nobody uses any more. False: there is none of that name.
  bool release(std::string_view label);
  // Suspend. A file is not waited for, a block device in use for a few seconds. What has been
  // opened for reading only cannot be had for writing before it is released. A refusal leaves its
  // reason for take_reason().
  [[nodiscard]] engine::Result<engine::BlockDevice*> find(std::string_view name) override {
    return find_or_open(name, real_io::OpenMode::read_write);
  }
  [[nodiscard]] engine::Result<engine::BlockDevice*> find_read_only(
      std::string_view name) override {
    return find_or_open(name, real_io::OpenMode::read_only);
  }
  // Any thread. Why it could not be had the last time, as one line for the user; once.
  [[nodiscard]] std::optional<std::string> take_reason(std::string_view label);
  // Any thread. Is a device open under that name?
  [[nodiscard]] bool has(std::string_view label);

 private:
  struct Plain {
    std::unique_ptr<real_io::UringDevice> device;
    real_io::OpenMode mode;
  };
  [[nodiscard]] tl::expected<real_io::UringDevice*, std::string> open(const std::string& label,
                                                                      const std::string& path,
                                                                      real_io::OpenMode mode,
                                                                      real_io::WhenBusy when_busy);
  [[nodiscard]] engine::Result<engine::BlockDevice*> find_or_open(std::string_view name,
                                                                  real_io::OpenMode mode);
  engine::Failure refuse(std::string_view name, engine::Errc code, const char* what,
                         std::string reason);

  real_io::UringExecutor& executor_;
  // Held while a device that a table names is opened: two tables that name one open it once.
  engine::Mutex opening_{"wavetankd.opening"};
  std::mutex mutex_;
  std::map<std::string, Plain, std::less<>> devices_;         // guarded by mutex_
  std::map<std::string, std::string, std::less<>> reasons_;   // guarded by mutex_
};

}   // namespace wavetankd

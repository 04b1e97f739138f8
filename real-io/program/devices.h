// The plain devices that tables may name: "metadata" and "data" of the served pool, and any path,
// opened when it is first named.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "engine/env/env.h"
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
  // One at a time; a file is not waited for. What has been opened for reading only cannot be had
  // for writing before it is released.
  [[nodiscard]] engine::Result<engine::BlockDevice*> find(std::string_view name) override {
    return find_or_open(name, real_io::OpenMode::read_write);
  }
  [[nodiscard]] engine::Result<engine::BlockDevice*> find_read_only(
      std::string_view name) override {
    return find_or_open(name, real_io::OpenMode::read_only);
  }
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

  real_io::UringExecutor& executor_;
  std::mutex mutex_;
  std::map<std::string, Plain, std::less<>> devices_;   // guarded by mutex_
};

}   // namespace wavetankd

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

  // Opens `path` under `label`. The error is one line for the user.
  [[nodiscard]] tl::expected<real_io::UringDevice*, std::string> open(const std::string& label,
                                                                      const std::string& path);
  // Any thread. Lets go of a device that nobody uses any more. False: there is none of that name.
  bool release(std::string_view label);
  // Any thread.
  [[nodiscard]] engine::Result<engine::BlockDevice*> find(std::string_view name) override;

 private:
  real_io::UringExecutor& executor_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<real_io::UringDevice>, std::less<>>
      devices_;   // guarded by mutex_
};

}   // namespace wavetankd

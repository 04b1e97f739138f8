// What a conformance suite needs of a world. A suite is instantiated once per world:
//   INSTANTIATE_TYPED_TEST_SUITE_P(Sim, ExecutorSuite, SimWorld);
// A world is default-constructible and made anew for each test. Test bodies keep all their state
// inside, so that a world may run one many times (the tank does: under many seeds).
#pragma once

#include <functional>

#include "engine/env/block_device.h"
#include "engine/fiber/executor.h"

namespace conformance {

class World {
 public:
  virtual ~World() = default;

  // Runs `body` on a worker fiber, once or several times, and returns when it and all the fibers it
  // started have ended. Fails the test if anything went wrong in the world itself.
  virtual void run(const std::function<void()>& body) = 0;

  // --- Inside run() only ---
  [[nodiscard]] virtual engine::Executor& executor() = 0;
  // How many OS threads run fibers, and a way to start a fiber on any of them, from any fiber.
  [[nodiscard]] virtual std::uint32_t threads() const = 0;
  virtual void spawn_on(std::uint32_t thread, const char* name, std::function<void()> body) = 0;
  // At least 8 MiB, write cache on if there is such a thing; what it holds is unspecified.
  [[nodiscard]] virtual engine::BlockDevice& device() = 0;
};

}   // namespace conformance

#include "engine/thin/targets.h"

#include "engine/thin/pool_target.h"
#include "engine/thin/thin_device.h"

namespace engine::thin {

ThinTargets::ThinTargets(const PoolOptions& options) : pools_{options} {}

void ThinTargets::add_to(io::TargetRegistry& registry) {
  registry.add(pool_type_);
  registry.add(thin_type_);
}

Result<std::unique_ptr<io::Target>> ThinTargets::PoolType::create(const io::TargetContext& context,
                                                                  const io::TargetArgs& args) {
  return PoolTarget::create(pools_, context, args);
}

Result<std::unique_ptr<io::Target>> ThinTargets::ThinType::create(const io::TargetContext& context,
                                                                  const io::TargetArgs& args) {
  return ThinDevice::create(pools_, context, args);
}

}   // namespace engine::thin

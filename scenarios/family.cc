#include "scenarios/family.h"

#include "scenarios/thin/volumes.h"

namespace scenarios {

std::unique_ptr<Family> family_of(World& world, const Workload& workload) {
  return std::make_unique<thin::Volumes>(world, workload);
}

}   // namespace scenarios

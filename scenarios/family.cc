#include "scenarios/family.h"

#include "scenarios/cache/volume.h"
#include "scenarios/thin/volumes.h"

namespace scenarios {

std::unique_ptr<Family> family_of(World& world, const Workload& workload) {
  switch (workload.system.family) {
    case FamilyKind::thin:
      return std::make_unique<thin::Volumes>(world, workload);
    case FamilyKind::cache:
      return std::make_unique<cache::Volume>(world, workload);
  }
  return nullptr;
}

}   // namespace scenarios

#include "engine/cache/targets.h"

#include "engine/base/check.h"
#include "engine/cache/cache_target.h"

namespace engine::cache {

CacheTargets::CacheTargets(const CacheOptions& options) : options_{options} {
  builtin_.add_to(policies_);
}

CacheTargets::~CacheTargets() {
  ENGINE_CHECK_ALIVE(caches_.empty(), "{} caches are there when their targets go", caches_.size());
}

void CacheTargets::add(Cache& cache) {
  const MutexLock lock{mutex_};
  caches_.push_back(&cache);
}

void CacheTargets::remove(Cache& cache) {
  const MutexLock lock{mutex_};
  std::erase(caches_, &cache);
}

// Of a device with an inactive table the active one is older, and has been loaded.
Cache* CacheTargets::find(std::string_view device) {
  const MutexLock lock{mutex_};
  for (Cache* const cache : caches_) {
    if (cache->owner().device_name() == device && cache->loaded()) return cache;
  }
  return nullptr;
}

Result<std::unique_ptr<io::Target>> CacheTargets::Type::create(const io::TargetContext& context,
                                                               const io::TargetArgs& args) {
  return CacheTarget::create(targets_, context, args);
}

}   // namespace engine::cache

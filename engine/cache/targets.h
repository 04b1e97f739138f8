// The target type cache of one system, with what its tables share: open metadata and the kinds of
// policy.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "engine/cache/cache_options.h"
#include "engine/cache/metadata_registry.h"
#include "engine/cache/policy.h"
#include "engine/fiber/mutex.h"
#include "engine/io/target.h"

namespace engine::cache {

class Cache;

// Outlives the system whose registry it was added to: the tables go before it.
class CacheTargets {
 public:
  explicit CacheTargets(const CacheOptions& options = {});
  ~CacheTargets();
  CacheTargets(const CacheTargets&) = delete;
  CacheTargets& operator=(const CacheTargets&) = delete;

  void add_to(io::TargetRegistry& registry) { registry.add(type_); }
  // smq, its aliases and cleaner; more may be added before the first table names them.
  [[nodiscard]] PolicyRegistry& policies() noexcept { return policies_; }
  [[nodiscard]] MetadataRegistry& metadata() noexcept { return metadata_; }
  [[nodiscard]] const CacheOptions& options() const noexcept { return options_; }

  // Suspends. For views and tests: the cache of the mapped device's active table, by the device's
  // name; null when there is none. The caller keeps the table in place otherwise.
  [[nodiscard]] Cache* find(std::string_view device);

  // Any cache target of the system comes and goes through here. Suspend.
  void add(Cache& cache);
  void remove(Cache& cache);

 private:
  class Type final : public io::TargetType {
   public:
    explicit Type(CacheTargets& targets) noexcept : targets_{targets} {}
    [[nodiscard]] std::string_view name() const noexcept override { return "cache"; }
    Result<std::unique_ptr<io::Target>> create(const io::TargetContext& context,
                                               const io::TargetArgs& args) override;

   private:
    CacheTargets& targets_;
  };

  const CacheOptions options_;
  BuiltinPolicies builtin_;
  PolicyRegistry policies_;
  MetadataRegistry metadata_;
  Type type_{*this};
  Mutex mutex_{"cache.targets"};
  std::vector<Cache*> caches_ ABSL_GUARDED_BY(mutex_);   // in the order of their construction
};

}   // namespace engine::cache

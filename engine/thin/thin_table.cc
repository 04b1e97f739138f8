// The constructor of thin.
#include "engine/thin/parse.h"
#include "engine/thin/pool.h"
#include "engine/thin/thin_device.h"

namespace engine::thin {
namespace {

Failure bad_thin_table(const char* what) {
  return fail(Errc::invalid, 0, what);
}

Result<io::DeviceRef> or_refusal(Result<io::DeviceRef> opened, const char* refusal) {
  if (!opened) return fail(opened.error().code, opened.error().where, refusal);
  return opened;
}

}   // namespace

Result<std::unique_ptr<io::Target>> ThinDevice::create(PoolRegistry& pools,
                                                       const io::TargetContext& context,
                                                       const io::TargetArgs& args) {
  const auto words = args.words;
  if (words.size() != 2 && words.size() != 3) return bad_thin_table("Invalid argument count");
  io::DeviceRef origin;
  io::DeviceClaim origin_claim;
  if (words.size() == 3) {
    if (words[2] == words[0]) return bad_thin_table("Error setting origin device");
    ENGINE_TRY_ASSIGN(origin, or_refusal(context.devices.open_read_only(words[2]),
                                         "Error opening origin device"));
    ENGINE_TRY_ASSIGN(origin_claim, context.claims.claim({.device = &origin.device(),
                                                          .role = io::DeviceRole::external_origin,
                                                          .owner = &context.owner}));
  }
  ENGINE_TRY_ASSIGN(io::DeviceRef pool_device,
                    or_refusal(context.devices.open(words[0]), "Error opening pool device"));
  const auto id = parse_thin_id(words[1]);
  if (!id) return bad_thin_table("Invalid device id");
  if (pool_device.mapped() == nullptr) return bad_thin_table("Couldn't get pool mapped device");
  ENGINE_TRY_ASSIGN(PoolRef pool, pools.find(*pool_device.mapped()));
  if (pool->mode() == PoolMode::fail) {
    return bad_thin_table("Couldn't open thin device, Pool is in fail mode");
  }
  const auto opened = pool->open_thin(*id);
  if (!opened) {
    return fail(opened.error().code, id->value(), "Couldn't open thin internal device");
  }
  const ThinParams params{.begin = args.begin, .sectors = args.sectors, .id = *id};
  auto thin = std::make_unique<ThinDevice>(params, std::move(pool), std::move(pool_device),
                                           std::move(origin), std::move(origin_claim),
                                           context.owner, **opened);
  // Last of all: from here on the worker finds it.
  ENGINE_TRY(thin->pool().active_thins().publish(*thin));
  return std::unique_ptr<io::Target>{std::move(thin)};
}

}   // namespace engine::thin

#include "engine/env/block_device.h"

#include "engine/base/check.h"
#include "engine/fiber/completion.h"

namespace engine {
namespace {

std::uint64_t event_code(const Bio& bio) noexcept {
  return static_cast<std::uint64_t>(bio.op) | (bio.fua ? 0x100U : 0U);
}

}   // namespace

void complete(const SyncObject& device, Bio& bio, Errc status, std::source_location where) {
  ENGINE_CHECK_ALIVE(bio.submitted, "{}: a bio ends that is not in flight", device.name);
  bio.submitted = false;
  bio.status = status;
  trace_event(OpKind::bio_complete, &device, where, bio.sector.value(), bio.sectors,
              static_cast<std::uint64_t>(status));
  bio.sector = bio.sector + bio.sectors;
  if (bio.data != nullptr) bio.data += bio.size_bytes();
  bio.sectors = 0;
  const ContextScope scope{ContextKind::completion, where};
  bio.end_io(bio);
}

void BlockDevice::submit(Bio& bio, std::source_location where) {
  ENGINE_CHECK_ALIVE(!bio.submitted, "{}: a bio is submitted twice", name());
  ENGINE_CHECK(bio.end_io != nullptr, "{}: a bio without end_io", name());
  if (bio.op == BioOp::read || bio.op == BioOp::write) {
    ENGINE_CHECK(bio.data != nullptr, "{}: a transfer without data", name());
  }
  if (ranges_checked()) {
    const DeviceLimits device = limits();
    ENGINE_CHECK(bio.sector.value() <= device.sectors, "{}: {} begins at sector {} of {}", name(),
                 to_string(bio.op), bio.sector, device.sectors);
    ENGINE_CHECK(bio.sectors <= device.sectors - bio.sector.value(),
                 "{}: {} of {} sectors at {} ends past {}", name(), to_string(bio.op), bio.sectors,
                 bio.sector, device.sectors);
    ENGINE_CHECK(!bio.preflush, "{}: preflush reached a plain device", name());
  }
  schedule_point(OpKind::bio_submit, Access::write, &object_, where);
  bio.submitted = true;
  trace_event(OpKind::bio_submit, &object_, where, bio.sector.value(), bio.sectors,
              event_code(bio));
  do_submit(bio);
}

Result<void> submit_and_wait(BlockDevice& device, Bio& bio, std::source_location where) {
  assert_may_block("submit_and_wait", where);
  const std::uint64_t first = bio.sector.value();
  Completion done{"bio"};
  bio.owner = &done;
  bio.end_io = [](Bio& ended) { static_cast<Completion*>(ended.owner)->signal(); };
  device.submit(bio, where);
  done.wait(where);
  if (bio.status != Errc::ok) return fail(bio.status, first, to_string(bio.op));
  return {};
}

Result<void> flush_and_wait(BlockDevice& device, std::source_location where) {
  Bio bio;
  bio.op = BioOp::flush;
  return submit_and_wait(device, bio, where);
}

}   // namespace engine

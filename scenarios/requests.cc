#include "scenarios/requests.h"

#include <algorithm>

#include <fmt/format.h>

#include "checkers/stamp.h"
#include "engine/env/buffer.h"
#include "engine/fiber/executor.h"
#include "scenarios/control.h"

namespace scenarios {

using engine::Errc;

bool is_request(Verb verb) noexcept {
  return verb == Verb::write || verb == Verb::write_zeroes || verb == Verb::read ||
         verb == Verb::discard || verb == Verb::flush;
}

namespace {

bool is_write(const Operation& operation) noexcept {
  return operation.verb == Verb::write || operation.verb == Verb::write_zeroes;
}

}   // namespace

void Requests::issue(const Target& target, const Operation& operation) {
  const auto unready = [&] { return target.unready != nullptr && *target.unready; };
  // Before and after: a device that is found may be one that has no table yet.
  bench_.begins();
  bool excused = unready();
  engine::Result<engine::io::DeviceRef> opened = bench_.system->open(target.device);
  excused |= unready();
  bench_.begins();
  if (!opened || !bench_.oracle.knows(target.volume)) return;
  const std::uint64_t size = bench_.oracle.size(target.volume);
  if (operation.verb != Verb::flush && (operation.sectors == 0 || operation.sector >= size ||
                                        operation.sectors > size - operation.sector)) {
    return;
  }
  const engine::Nanos begun = engine::current_executor().now();
  const engine::Result<void> ended = perform(opened->device(), target.volume, operation);
  bench_.begins();
  if (!ended) judge_refusal(operation, ended.error().code, begun);
  judge_end(target, operation, ended, excused || target.may_go || may_fail(operation));
}

// In a pool whose metadata can be written no more, but read, reads go on.
bool Requests::may_fail(const Operation& operation) const {
  if (bench_.calm) return false;
  const FaultSpec& faults = bench_.workload.faults;
  return operation.verb != Verb::read || bench_.workload.system.family != FamilyKind::thin ||
         faults.power_cuts != 0 || faults.data_read_errors != 0 ||
         faults.metadata_read_errors != 0 || bench_.world.pool_has_failed();
}

// That a pool has no space for it: nobody else may have said so.
void Requests::judge_refusal(const Operation& operation, engine::Errc code, engine::Nanos begun) {
  const Workload& workload = bench_.workload;
  if (code == Errc::no_data_space && is_write(operation) &&
      workload.system.family == FamilyKind::thin && workload.faults.data_no_space == 0)
    bench_.world.refused_for_space(begun);
}

engine::Result<void> Requests::perform(engine::BlockDevice& device, std::uint32_t volume,
                                       const Operation& operation) {
  checkers::DataOracle& oracle = bench_.oracle;
  const std::uint64_t sector = operation.sector;
  const std::uint64_t sectors = operation.sectors;
  engine::Bio bio;
  bio.sector = engine::Sector{sector};
  bio.sectors = sectors;
  bio.fua = operation.fua;
  switch (operation.verb) {
    case Verb::write: {
      engine::AlignedBuffer buffer{bio.size_bytes()};
      const auto told = oracle.begin_write(volume, sector, sectors);
      checkers::fill_stamped(buffer.bytes(), told.write_id, sector);
      bio.op = engine::BioOp::write;
      bio.data = buffer.data();
      const auto ended = engine::submit_and_wait(device, bio);
      bench_.ends();
      oracle.end_write(told, ended.has_value(), operation.fua);
      return ended;
    }
    case Verb::write_zeroes: {
      const auto told = oracle.begin_zero(volume, sector, sectors);
      bio.op = engine::BioOp::write_zeroes;
      const auto ended = engine::submit_and_wait(device, bio);
      bench_.ends();
      oracle.end_zero(told, ended.has_value(), operation.fua);
      return ended;
    }
    case Verb::read: {
      engine::AlignedBuffer buffer{bio.size_bytes()};
      const auto told = oracle.begin_read(volume, sector, sectors);
      bio.op = engine::BioOp::read;
      bio.data = buffer.data();
      const auto ended = engine::submit_and_wait(device, bio);
      bench_.ends();
      checkers::Findings findings;
      oracle.end_read(told, ended.has_value(), buffer.bytes(), findings);
      bench_.tell(findings);
      return ended;
    }
    case Verb::discard: {
      discarded_.store(true, std::memory_order_relaxed);
      const auto told = oracle.begin_discard(volume, sector, sectors);
      bio.op = engine::BioOp::discard;
      const auto ended = engine::submit_and_wait(device, bio);
      bench_.ends();
      oracle.end_discard(told);
      return ended;
    }
    default: {
      const auto told = oracle.begin_flush(volume);
      bio = engine::Bio{};
      bio.op = engine::BioOp::flush;
      const auto ended = engine::submit_and_wait(device, bio);
      bench_.ends();
      oracle.end_flush(told, ended.has_value());
      return ended;
    }
  }
}

void Requests::judge_end(const Target& target, const Operation& operation,
                         const engine::Result<void>& ended, bool excused) {
  // An activation that failed leaves a device without a table while somebody has it open.
  if (ended || excused || !has_table(*bench_.system, target.device)) return;
  const Errc code = ended.error().code;
  if (is_write(operation) && code == Errc::no_data_space) return;
  const bool optional = operation.verb == Verb::discard || operation.verb == Verb::write_zeroes;
  if (optional && code == Errc::not_supported) return;
  bench_.tell("error without a fault",
              fmt::format("{} ended with {}", to_string(operation), engine::to_string(code)));
}

void Requests::read_back(const Target& target, std::uint64_t step_sectors) {
  const std::uint64_t size = bench_.oracle.size(target.volume);
  for (std::uint64_t sector = 0; sector < size; sector += step_sectors) {
    issue(target, Operation{.verb = Verb::read,
                            .thin = target.volume,
                            .sector = sector,
                            .sectors = std::min(step_sectors, size - sector)});
  }
}

}   // namespace scenarios

// One I/O of a simulated disk, for the files of SimDevice alone: an environment step that first
// takes effect and then ends. A slow one waits for the clock before either.
#pragma once

#include "sim/sim_device.h"

namespace sim {

class SimDevice::Io final : public EnvStep {
 public:
  enum class Late : std::uint8_t { no, effect, end };

  explicit Io(SimDevice& device) noexcept
      : EnvStep{ChoiceKind::effect, ActorId{}, device.name(), Duty::must_happen}, device_{device} {}

  SimFiber* happen() override {
    if (kind == ChoiceKind::complete) return device_.start_completion(*this);
    device_.take_effect(*this);
    kind = ChoiceKind::complete;
    offer(Late::end);
    return nullptr;
  }
  // It may happen from now on, or later, if this is where it is late.
  void offer(Late what) {
    device_.execution_.offer(*this, late == what ? delay : engine::Nanos{0});
  }

  // Its effect changes or reads what is on the disk, a flush all of it. Whether it has ended when
  // something else is submitted matters where one of the two is a discard.
  [[nodiscard]] Touch touches() const noexcept override {
    if (kind == ChoiceKind::complete)
      return {.what = Touch::What::object,
              .device = &device_.object(),
              .writes = record.op == engine::BioOp::discard};
    return range();
  }
  // The end of an FUA write makes safe what it wrote, unless something later is already.
  [[nodiscard]] Touch also_touches() const noexcept override {
    const bool makes_safe =
        kind == ChoiceKind::complete && (record.fua || !device_.options_.write_cache);
    return makes_safe ? range() : Touch{.what = Touch::What::nothing};
  }

  engine::Bio* bio = nullptr;
  IoRecord record;
  std::uint32_t ticket = 0;   // of its submission (order_listener.h)
  // When it had taken effect: how many flushes had, and how many versions of pages were kept since.
  std::uint64_t flushes = 0;
  std::size_t versions = 0;
  Late late = Late::no;
  engine::Nanos delay{0};
  std::size_t place = 0;   // in in_flight_

 private:
  [[nodiscard]] Touch range() const noexcept {
    const bool all = record.op == engine::BioOp::flush;
    const std::uint64_t first = record.sector.value();
    return {.what = Touch::What::range,
            .device = &device_.object(),
            .begin = all ? 0 : first,
            .end = all ? ~std::uint64_t{0} : first + record.sectors,
            .writes = record.op != engine::BioOp::read};
  }

  SimDevice& device_;
};

}   // namespace sim

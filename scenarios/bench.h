// What the parts of one run share: the world, the workload, the system under test and the oracle of
// its data. Families of volumes (thin pools are one) put their own beside it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "checkers/data_oracle.h"
#include "checkers/findings.h"
#include "engine/dm/system.h"
#include "scenarios/workload.h"
#include "scenarios/world.h"

namespace scenarios {

struct Bench {
  World& world;
  const Workload& workload;
  checkers::DataOracle oracle;
  bool calm = false;                                                 // nothing is made to fail
  bool power_cut = false;                                            // there was one
  engine::SyncObject known{engine::SyncObject::Quiet::yes, "lab"};   // what actors tell and ask
  std::unique_ptr<engine::dm::System> system{};   // null until booted and after shutting down

  // Before the oracle is told or asked, or what else the lab knows of the volumes: who did so first
  // matters for the verdict. Requests begin in any order, and end in any; what ended before another
  // began did not run beside it.
  void begins() const noexcept { engine::also_touches(known, engine::Access::read); }
  void ends() const noexcept { engine::also_touches(known, engine::Access::add); }
  void changes() const noexcept { engine::also_touches(known); }

  void tell(const checkers::Findings& findings) const {
    for (const checkers::Finding& finding : findings.list())
      world.report(finding);
  }
  // A finding of the lab itself.
  void tell(std::string_view kind, std::string text) const {
    world.report(checkers::Finding{"lab", std::string{kind}, std::move(text)});
  }
};

}   // namespace scenarios

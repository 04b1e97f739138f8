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
  bool calm = false;                              // nothing is made to fail
  bool power_cut = false;                         // there was one
  std::unique_ptr<engine::dm::System> system{};   // null until booted and after shutting down

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

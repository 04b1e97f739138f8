// wavetank list: what there is to choose from.
#include <array>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "scenarios/scenario.h"
#include "sim/program/commands.h"
#include "sim/program/judges.h"
#include "sim/program/mutant.h"
#include "sim/strategies.h"

namespace program {
namespace {

using Json = nlohmann::ordered_json;

void print_named(const std::vector<NamedThing>& things, bool json) {
  if (json) {
    Json array = Json::array();
    for (const NamedThing& thing : things)
      array.push_back({{"name", thing.name}, {"description", thing.description}});
    fmt::print("{}\n", array.dump(2));
    return;
  }
  for (const NamedThing& thing : things)
    fmt::print("{:<24} {}\n", thing.name, thing.description);
}

void print_mutants(bool json) {
  Json array = Json::array();
  for (const Mutant& mutant : list_mutants()) {
    if (json) {
      array.push_back({{"name", mutant.name},
                       {"id", mutant.id},
                       {"title", mutant.title},
                       {"undoes", mutant.undoes},
                       {"consequence", mutant.consequence},
                       {"noticed_by", mutant.noticed_by},
                       {"general", mutant.general},
                       {"scenario", mutant.scenario}});
      continue;
    }
    fmt::print("{:<8} {}\n{:8} undoes: {}\n{:8} consequence: {}\n{:8} noticed by: {}\n", mutant.id,
               mutant.title, "", mutant.undoes, "", mutant.consequence, "", mutant.noticed_by);
  }
  if (json) fmt::print("{}\n", array.dump(2));
}

}   // namespace

int list(const std::string& what, bool json) {
  if (what == "mutants") {
    print_mutants(json);
  } else if (what == "strategies") {
    std::vector<NamedThing> things;
    for (const sim::StrategyName& strategy : sim::strategy_names())
      things.push_back({std::string{strategy.name}, std::string{strategy.description}});
    print_named(things, json);
  } else if (what == "checkers") {
    print_named(list_judges(), json);
  } else {
    std::vector<NamedThing> things;
    for (const scenarios::Scenario& scenario : scenarios::all_scenarios())
      things.push_back({scenario.name, scenario.description});
    print_named(things, json);
  }
  return 0;
}

}   // namespace program

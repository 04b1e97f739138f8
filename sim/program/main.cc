// wavetank: search for races, replay, shrink and draw what was found, check real images.
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>

#include "sim/program/command_line.h"
#include "sim/program/complaint.h"
#include "sim/program/mutant.h"

namespace program {
namespace {

// Becomes the tank around the mutant, with the same arguments but for --mutant, which turns into
// the record of what is being searched. `any_scenario`: a search to which none was named.
int become_mutant(const std::string& wanted, bool any_scenario, int argc, char** argv) {
  const auto mutant = find_mutant(wanted);
  if (!mutant) {
    return complain(mutant.error());
  }
  const auto path = built_mutant(*mutant);
  if (!path) {
    return complain(path.error());
  }
  std::vector<std::string> words{path->string()};
  for (int i = 1; i < argc; ++i) {
    const std::string word{argv[i]};
    if (word == "--mutant") {
      ++i;
    } else if (!word.starts_with("--mutant=")) {
      words.push_back(word);
    }
  }
  if (any_scenario) words.push_back("--scenario=" + mutant->general);
  // The name alone: the record must not depend on where anything lies.
  words.push_back("--as-mutant=" + (wanted.ends_with(".patch") ? wanted : mutant->name));
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  fmt::print(stderr, "wavetank: {} cannot be run\n", path->string());
  return kUsage;
}

int dispatch(int argc, char** argv) {
  CommandLine line;
  if (const std::optional<int> exit_code = line.parse(argc, argv)) return *exit_code;
  const std::string mutant = line.mutant();
  if (!mutant.empty()) return become_mutant(mutant, line.takes_any_scenario(), argc, argv);
  return line.run();
}

}   // namespace
}   // namespace program

int main(int argc, char** argv) {
  try {
    return program::dispatch(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "wavetank: {}\n", error.what());
    return 2;
  }
}

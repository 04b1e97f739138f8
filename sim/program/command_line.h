// What the words after `wavetank` say.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "sim/program/commands.h"

namespace program {

class CommandLine {
 public:
  CommandLine();
  // The exit code when there is nothing more to do: help was asked for, or the words make no sense.
  [[nodiscard]] std::optional<int> parse(int argc, char** argv);
  // The mutant that this program is to become first; empty: it stays what it is. A trace knows the
  // one that it was made with.
  [[nodiscard]] std::string mutant() const;
  // A search to which no scenario was named.
  [[nodiscard]] bool takes_any_scenario() const;
  // Does what was asked for; its exit code.
  [[nodiscard]] int run();

 private:
  void add_search();
  void add_explore();
  void add_replay();
  void add_shrink();
  void add_render();
  void add_scoreboard();
  void add_list();
  void add_check();
  void with_mutant(CLI::App& command);
  static void with_judges(CLI::App& command, Judges& judges);

  CLI::App app_;
  std::string mutant_;
  std::string as_mutant_;
  SearchOptions search_;
  ExploreOptions explore_;
  ReplayOptions replay_;
  ShrinkOptions shrink_;
  RenderOptions render_;
  ScoreboardOptions scoreboard_;
  std::string list_what_;
  std::filesystem::path image_;
  bool json_ = false;   // of those that have no options of their own
};

}   // namespace program

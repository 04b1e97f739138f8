// wavetankd: the engine on real disks.
#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "real-io/program/run_scenario.h"
#include "real-io/program/serve.h"
#include "real-io/program/serve_options.h"
#include "real-io/program/words.h"

// Out of memory, an exception may leave it. NOLINTNEXTLINE(bugprone-exception-escape)
int main(int argc, char** argv) {
  CLI::App program{"Thin-provisioned volumes on real disks", "wavetankd"};
  program.require_subcommand(1);
  CLI::App& serve_command = *program.add_subcommand("serve", "export volumes over NBD");
  wavetankd::ServeFlags serve_flags;
  wavetankd::add_serve_flags(serve_command, serve_flags);
  CLI::App& run_command = *program.add_subcommand("run", "run workloads on real files and threads");
  wavetankd::RunOptions run_options;
  wavetankd::add_run_flags(run_command, run_options);

  constexpr int kUsage = 2;
  try {
    program.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return program.exit(help);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "wavetankd: {}\n", error.what());
    return kUsage;
  }
  if (serve_command.parsed()) {
    const auto options = wavetankd::read_serve_options(serve_flags);
    if (!options) {
      fmt::print(stderr, "wavetankd: {}\n", wavetankd::printable(options.error()));
      return kUsage;
    }
    return wavetankd::serve(*options);
  }
  return wavetankd::run_scenario(run_options);
}

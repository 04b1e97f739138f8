// wavetank check: the offline checkers on real images.
#include <cstdio>

#include <fmt/format.h>

#include "checkers/image/check_command.h"
#include "sim/program/commands.h"

namespace program {

namespace {

int print(const checkers::image::CommandOutcome& outcome) {
  fmt::print("{}", outcome.output);
  if (!outcome.error.empty()) fmt::print(stderr, "wavetank: {}\n", outcome.error);
  return outcome.exit_code;
}

checkers::image::Form form(bool json) {
  return json ? checkers::image::Form::json : checkers::image::Form::text;
}

}   // namespace

int check_thin(const std::filesystem::path& image, bool json) {
  return print(checkers::image::check_thin_file(image.string(), form(json)));
}

int check_cache(const std::filesystem::path& image, bool json) {
  return print(checkers::image::check_cache_file(image.string(), form(json)));
}

}   // namespace program

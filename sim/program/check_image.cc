// wavetank check: the offline checkers on real images.
#include <cstdio>

#include <fmt/format.h>

#include "checkers/image/check_command.h"
#include "sim/program/commands.h"

namespace program {

int check_thin(const std::filesystem::path& image, bool json) {
  using checkers::image::Form;
  const checkers::image::CommandOutcome outcome =
      checkers::image::check_thin_file(image.string(), json ? Form::json : Form::text);
  fmt::print("{}", outcome.output);
  if (!outcome.error.empty()) fmt::print(stderr, "wavetank: {}\n", outcome.error);
  return outcome.exit_code;
}

}   // namespace program

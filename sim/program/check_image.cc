// wavetank check: the offline checkers on real images.
#include <cstdio>

#include <fmt/format.h>

#include "checkers/image/image_file.h"
#include "checkers/image/report_text.h"
#include "checkers/image/thin_check.h"
#include "sim/program/commands.h"

namespace program {

int check_thin(const std::filesystem::path& image, std::optional<std::uint64_t> data_blocks,
               bool json) {
  const checkers::image::ImageFile::Opened opened =
      checkers::image::ImageFile::open(image.string());
  if (opened.image == nullptr) {
    fmt::print(stderr, "wavetank: {}\n", opened.error);
    return 2;
  }
  const checkers::image::ThinReport report =
      checkers::image::check_thin(*opened.image, {.data_device_blocks = data_blocks});
  const std::string text = json ? checkers::image::render_json(report, image.string())
                                : checkers::image::render_text(report, image.string());
  fmt::print("{}", text);
  return report.exit_code();
}

}   // namespace program

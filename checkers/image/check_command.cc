#include "checkers/image/check_command.h"

#include <memory>

#include "checkers/image/image_file.h"
#include "checkers/image/report_text.h"
#include "checkers/image/thin_check.h"

namespace checkers::image {

CommandOutcome check_thin_file(const std::string& path, Form form) {
  const ImageFile::Opened opened = ImageFile::open(path);
  if (!opened.image) return {.output = {}, .error = opened.error + "\n", .exit_code = 2};
  const ThinReport report = check_thin(*opened.image);
  return {.output = form == Form::json ? render_json(report, path) : render_text(report, path),
          .error = {},
          .exit_code = report.exit_code()};
}

}   // namespace checkers::image

#include "checkers/image/check_command.h"

#include <memory>

#include "checkers/image/cache_check.h"
#include "checkers/image/image_file.h"
#include "checkers/image/report_text.h"
#include "checkers/image/thin_check.h"

namespace checkers::image {

namespace {

template <typename Check>
CommandOutcome check_file(const std::string& path, Form form, Check&& check) {
  const ImageFile::Opened opened = ImageFile::open(path);
  if (!opened.image) return {.output = {}, .error = opened.error, .exit_code = 2};
  const auto report = check(*opened.image);
  return {.output = form == Form::json ? render_json(report, path) : render_text(report, path),
          .error = {},
          .exit_code = report.exit_code()};
}

}   // namespace

CommandOutcome check_thin_file(const std::string& path, Form form) {
  return check_file(path, form, [](BlockSource& source) { return check_thin(source); });
}

CommandOutcome check_cache_file(const std::string& path, Form form) {
  return check_file(path, form, [](BlockSource& source) { return check_cache(source); });
}

}   // namespace checkers::image

// wavetank render: a trace as picture, page, JSON or story.
#include <cstdio>

#include <fmt/format.h>

#include "sim/finding_folder.h"
#include "sim/program/commands.h"
#include "sim/program/reproducer.h"
#include "traces/chrome_json.h"
#include "traces/circle.h"
#include "traces/dot.h"
#include "traces/html.h"
#include "traces/story.h"
#include "traces/svg.h"

namespace program {
namespace {

tl::expected<std::string, std::string> rendered(const traces::Trace& trace,
                                                const RenderOptions& options) {
  if (options.format == "circle") {
    if (!traces::has_circle(trace))
      return tl::unexpected{
          fmt::format("{}: nothing goes round in a circle", options.trace.string())};
    return traces::render_circle(trace);
  }
  if (options.format == "dot") return traces::render_dot(trace);
  if (options.format == "html") return traces::render_html(trace);
  if (options.format == "json") return traces::render_chrome_json(trace);
  if (options.format == "story") return traces::render_story(trace, replay_command(options.trace));
  return traces::render_svg(trace);
}

}   // namespace

int render(const RenderOptions& options) {
  const auto trace = sim::load_trace(options.trace);
  if (!trace) {
    fmt::print(stderr, "wavetank: {}\n", trace.error());
    return 2;
  }
  const auto text = rendered(*trace, options);
  if (!text) {
    fmt::print(stderr, "wavetank: {}\n", text.error());
    return 2;
  }
  if (options.out.empty()) {
    std::fwrite(text->data(), 1, text->size(), stdout);
    return 0;
  }
  const auto written = sim::write_file(options.out, *text);
  if (!written) {
    fmt::print(stderr, "wavetank: {}\n", written.error());
    return 2;
  }
  return 0;
}

}   // namespace program

#include "traces/svg.h"

#include <algorithm>

#include <fmt/format.h>

#include "traces/escape.h"
#include "traces/palette.h"
#include "traces/picture.h"

namespace traces {
namespace {

std::string_view colour_of(engine::BioOp op) {
  switch (op) {
    case engine::BioOp::read:
      return "#607d8b";
    case engine::BioOp::write:
      return "#2e7d32";
    case engine::BioOp::write_zeroes:
      return "#7c9a2e";
    case engine::BioOp::discard:
      return "#7b3fb5";
    case engine::BioOp::flush:
      return "#00838f";
  }
  return "#607d8b";
}

class Svg {
 public:
  explicit Svg(const Picture& picture) : picture_{picture} {}

  std::string draw() {
    begin();
    head();
    lanes();
    for (const Gap& gap : picture_.gaps)
      draw(gap);
    for (const Bar& bar : picture_.bars)
      draw(bar);
    for (const Arrow& arrow : picture_.arrows) {
      if (arrow.style != ArrowStyle::decision) draw(arrow);
    }
    for (const Box& box : picture_.boxes)
      draw(box);
    for (const Arrow& arrow : picture_.arrows) {
      if (arrow.style == ArrowStyle::decision) draw(arrow);
    }
    legend();
    out_ += "</svg>\n";
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }

  void begin() {
    add(R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}" font-family="'DejaVu Sans',Verdana,sans-serif" font-size="11">)",
        picture_.width, picture_.height);
    add(R"(<title>{}</title>)", escape_xml(picture_.title.empty() ? "" : picture_.title.front()));
    add("<defs>");
    add(R"(<pattern id="aside" width="7" height="7" patternUnits="userSpaceOnUse")"
        R"~( patternTransform="rotate(45)"><rect width="7" height="7" fill="#ffd8a8"/>)~"
        R"(<rect width="3.5" height="7" fill="#e67700"/></pattern>)");
    marker("wake", "#3b7dd8");
    marker("io", "#455a64");
    marker("decision", "#e67700");
    add("</defs>");
    add(R"(<rect width="100%" height="100%" fill="#ffffff"/>)");
  }

  void marker(std::string_view name, std::string_view colour) {
    add(R"(<marker id="to-{}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse" markerUnits="userSpaceOnUse"><path d="M0,0.5 L10,5 L0,9.5 z" fill="{}"/></marker>)",
        name, colour);
  }

  void text(double x, double y, std::string_view words, std::string_view more = {}) {
    add(R"(<text x="{:.1f}" y="{:.1f}"{}{}>{}</text>)", x, y, more.empty() ? "" : " ", more,
        escape_xml(words));
  }

  void head() {
    double y = kMargin + 14;
    for (const std::string& line : picture_.title) {
      text(kMargin, y, line,
           picture_.failed ? R"(font-size="18" font-weight="bold" fill="#c62828")"
                           : R"(font-size="18" font-weight="bold" fill="#22324a")");
      y += kTitleHeight;
    }
    for (const std::string& line : picture_.explanation) {
      text(kMargin, y, line, R"(font-size="13" font-weight="bold" fill="#22324a")");
      y += kLineHeight + 2;
    }
    for (const std::string& line : picture_.facts) {
      text(kMargin, y, line, R"(font-size="12" fill="#44525f")");
      y += kLineHeight + 2;
    }
    y += 16;
    const double middle = picture_.width / 2;
    text(kMargin, y, "What was run", R"(font-size="12" font-weight="bold" fill="#22324a")");
    text(middle, y, "What the schedule decided",
         R"(font-size="12" font-weight="bold" fill="#e67700")");
    y += 17;
    column(kMargin, y, picture_.workload);
    column(middle, y, picture_.decisions);
  }

  void column(double x, double y, const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      text(x, y, line, R"(font-size="12" fill="#2b3a47")");
      y += kLineHeight + 2;
    }
  }

  void lanes() {
    bool odd = false;
    for (const LaneHead& head : picture_.heads) {
      odd = !odd;
      add(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"/>)", head.x,
          picture_.lanes_top, head.width, picture_.lanes_bottom - picture_.lanes_top,
          odd ? "#f6f8fa" : "#ffffff");
      add(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.0f}" rx="4" fill="#22324a"/>)",
          head.x + 2, picture_.lanes_top, head.width - 4, kHeadHeight);
      text(head.x + 12, picture_.lanes_top + (head.role.empty() ? 23 : 16), head.name,
           R"(font-size="12.5" font-weight="bold" fill="#ffffff")");
      if (!head.role.empty())
        text(head.x + 12, picture_.lanes_top + 30, head.role, R"(fill="#c9d6e3")");
    }
  }

  void draw(const Gap& gap) {
    const double right = picture_.width - kMargin;
    add(R"(<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="#c8d2db" stroke-dasharray="2 4"/>)",
        kMargin + 70, gap.y, right, gap.y);
    text(kMargin + 66, gap.y + 3.5, "… " + gap.text,
         R"(text-anchor="end" font-size="10" fill="#7a8894")");
  }

  void line(const Bar& bar, double width, std::string_view colour, std::string_view more = {}) {
    add(R"(<line x1="{0:.1f}" y1="{1:.1f}" x2="{0:.1f}" y2="{2:.1f}" stroke="{3}" stroke-width="{4:.1f}"{5}{6}/>)",
        bar.x, bar.y1, bar.y2, colour, width, more.empty() ? "" : " ", more);
  }

  void draw(const Bar& bar) {
    switch (bar.style) {
      case BarStyle::running:
        return line(bar, 7, "#4a7fb5");
      case BarStyle::ready:
        return line(bar, 2, "#9fb3c6");
      case BarStyle::waiting:
        return line(bar, 1.6, "#a5b1bc", R"(stroke-dasharray="1.5 4")");
      case BarStyle::aside:
        add(R"~(<rect x="{:.1f}" y="{:.1f}" width="9" height="{:.1f}" fill="url(#aside)" stroke="#e67700"/>)~",
            bar.x - 4.5, bar.y1, bar.y2 - bar.y1);
        return;
      case BarStyle::section:
        add(R"(<path d="M{0:.1f},{1:.1f} h-5 V{2:.1f} h5" fill="none" stroke="#c62828" stroke-width="3"><title>{3}</title></path>)",
            bar.x + 5, bar.y1 + 2, bar.y2 - 2, escape_xml(bar.text));
        return;
      case BarStyle::io:
        break;
    }
    const std::string_view colour = colour_of(bar.op);
    add(R"(<rect x="{:.1f}" y="{:.1f}" width="8" height="{:.1f}" rx="4" fill="{}" fill-opacity="0.28" stroke="{}"{}><title>{}</title></rect>)",
        bar.x - 4, bar.y1, bar.y2 - bar.y1, colour, colour,
        bar.open_end ? R"( stroke-dasharray="3 3")" : "", escape_xml(bar.text));
    if (bar.effect_y >= 0)
      add(R"(<circle cx="{:.1f}" cy="{:.1f}" r="5" fill="{}"/>)", bar.x, bar.effect_y, colour);
  }

  void draw(const Arrow& arrow) {
    switch (arrow.style) {
      case ArrowStyle::done:
        add(R"(<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="#7a8894" stroke-dasharray="2 2"/>)",
            arrow.x1, arrow.y1, arrow.x2, arrow.y2);
        return;
      case ArrowStyle::io:
        add(R"~(<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="#455a64" stroke-width="1.3" marker-end="url(#to-io)"/>)~",
            arrow.x1, arrow.y1, arrow.x2, arrow.y2);
        return;
      case ArrowStyle::wake:
        return curve(arrow, "#3b7dd8",
                     R"~(stroke-width="1.2" stroke-dasharray="5 3" marker-end="url(#to-wake)")~");
      case ArrowStyle::decision:
        return curve(arrow, "#e67700", R"~(stroke-width="2.6" marker-end="url(#to-decision)")~");
    }
  }

  // Leaves and arrives sideways.
  void curve(const Arrow& arrow, std::string_view colour, std::string_view more) {
    const double reach = (arrow.x2 - arrow.x1) / 2;
    add(R"(<path d="M{:.1f},{:.1f} C{:.1f},{:.1f} {:.1f},{:.1f} {:.1f},{:.1f}" fill="none" stroke="{}" {}/>)",
        arrow.x1, arrow.y1, arrow.x1 + reach, arrow.y1, arrow.x2 - reach, arrow.y2, arrow.x2,
        arrow.y2, colour, more);
  }

  void draw(const Box& box) {
    const Colours colours = colours_of(box.style);
    const bool strong = box.style == BoxStyle::decision || box.style == BoxStyle::failure ||
                        box.style == BoxStyle::culprit || box.number != 0;
    add(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="4" fill="{}" stroke="{}" stroke-width="{}"/>)",
        box.x, box.y, box.width, box.height, colours.fill,
        box.number != 0 ? "#e67700" : colours.edge, strong ? "2.2" : "1");
    double y = box.y + 15;
    for (const std::string& each : box.lines) {
      text(box.x + 7, y, each,
           box.style >= BoxStyle::culprit    ? R"(font-weight="bold" fill="#8e1c1c")"
           : box.style == BoxStyle::decision ? R"(font-weight="bold" fill="#8a4600")"
                                             : R"(fill="#1c2833")");
      y += kLineHeight;
    }
    if (!box.place.empty()) text(box.x + 7, y - 1.5, box.place, R"(font-size="9" fill="#70808f")");
  }

  void legend() {
    const double y = picture_.lanes_bottom + 24;
    double x = kMargin;
    const auto entry = [&](std::string_view words) {
      text(x + 26, y + 4, words, R"(font-size="10.5" fill="#44525f")");
      x += 34 + 6.2 * static_cast<double>(words.size());
    };
    const auto sample = [&](BarStyle style) {
      draw(Bar{.x = x + 12, .y1 = y - 9, .y2 = y + 9, .style = style, .text = {}});
    };
    sample(BarStyle::running);
    entry("runs");
    sample(BarStyle::ready);
    entry("could run");
    sample(BarStyle::waiting);
    entry("waits");
    sample(BarStyle::aside);
    entry("put aside by the schedule");
    if (std::any_of(picture_.bars.begin(), picture_.bars.end(),
                    [](const Bar& bar) { return bar.style == BarStyle::section; })) {
      sample(BarStyle::section);
      entry("inside: may not wait");
    }
    draw(Bar{.x = x + 12,
             .y1 = y - 10,
             .y2 = y + 10,
             .style = BarStyle::io,
             .op = engine::BioOp::write,
             .effect_y = y + 3,
             .text = {}});
    entry("I/O: submitted, takes effect (dot), ends");
    draw(Arrow{x, y, x + 22, y, ArrowStyle::wake});
    entry("wakes");
    draw(Arrow{x, y, x + 22, y, ArrowStyle::decision});
    entry("goes on instead");
    const auto patch = [&](BoxStyle style, std::string_view words) {
      const Colours colours = colours_of(style);
      add(R"(<rect x="{:.1f}" y="{:.1f}" width="18" height="12" rx="3" fill="{}" stroke="{}"/>)",
          x + 3, y - 6, colours.fill, colours.edge);
      entry(words);
    };
    x = kMargin;
    out_ += R"~(<g transform="translate(0,24)">)~";
    patch(BoxStyle::related, "about the blocks or locks of the finding");
    patch(BoxStyle::effect, "the disk changes or is read");
    patch(BoxStyle::discard, "the disk discards");
    patch(BoxStyle::decision, "decided by the schedule, numbered");
    patch(BoxStyle::failure, "what was found");
    add("</g>");
  }

  const Picture& picture_;
  std::string out_;
};

}   // namespace

std::string render_svg(const Trace& trace) {
  const RunModel run{trace};
  const Picture picture = lay_out(run);
  return Svg{picture}.draw();
}

}   // namespace traces

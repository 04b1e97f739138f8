// Pictures and stories: they show what matters, are well formed, the same each time, and take
// whatever a trace file may hold.
#include <cstdio>
#include <functional>
#include <random>

#include <graphviz/cgraph.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/traces/late_discard.h"
#include "traces/chrome_json.h"
#include "traces/circle.h"
#include "traces/dot.h"
#include "traces/escape.h"
#include "traces/html.h"
#include "traces/outline.h"
#include "traces/run_model.h"
#include "traces/selection.h"
#include "traces/story.h"
#include "traces/svg.h"

namespace traces {
namespace {

std::size_t count_of(std::string_view text, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

// Elements closed in order, attributes quoted: what a browser's XML parser insists on.
void expect_well_formed_xml(std::string_view xml) {
  std::vector<std::string> open;
  EXPECT_EQ(count_of(xml, "&"), count_of(xml, "&amp;") + count_of(xml, "&lt;") +
                                    count_of(xml, "&gt;") + count_of(xml, "&quot;"));
  for (std::size_t at = xml.find('<'); at != std::string_view::npos; at = xml.find('<', at + 1)) {
    const std::size_t end = xml.find('>', at);
    ASSERT_NE(end, std::string_view::npos);
    const std::string_view tag = xml.substr(at + 1, end - at - 1);
    ASSERT_EQ(tag.find('<'), std::string_view::npos) << tag;
    EXPECT_EQ(count_of(tag, "\"") % 2, 0U) << tag;
    if (tag.starts_with('/')) {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(tag.substr(1), open.back());
      open.pop_back();
    } else if (!tag.ends_with('/')) {
      open.emplace_back(tag.substr(0, tag.find(' ')));
    }
  }
  EXPECT_TRUE(open.empty());
}

void expect_dot_reads(const std::string& dot) {
  Agraph_t* const graph = agmemread(dot.c_str());
  ASSERT_NE(graph, nullptr);
  EXPECT_GT(agnnodes(graph), 0);
  agclose(graph);
}

TEST(RunModel, FollowsEachIoFromSubmissionToEnd) {
  const Trace trace = late_discard();
  const RunModel run{trace};
  const IoLife* discard = nullptr;
  for (const IoLife& io : run.ios()) {
    if (!io.disk) continue;
    EXPECT_NE(io.effect, kNone);
    ASSERT_NE(io.complete, kNone);
    EXPECT_LT(io.submit, io.effect);
    EXPECT_LT(io.effect, io.complete);
    if (io.op == engine::BioOp::discard) discard = &io;
  }
  ASSERT_NE(discard, nullptr);
  EXPECT_EQ(discard->device, "data");
  EXPECT_EQ(trace.events[discard->submit].file, "engine/thin/discard.cc");
}

TEST(RunModel, TellsAlikeIosApartByWhoEndsThem) {
  constexpr std::uint32_t kFirst = 1U << 30U | 1U << 22U | 1;
  const auto event = [](std::string op, std::uint32_t fiber, std::uint64_t c) {
    return Event{.fiber = fiber,
                 .op = std::move(op),
                 .object = "device data",
                 .object_id = 2,
                 .file = {},
                 .a = 0,
                 .b = 8,
                 .c = c,
                 .name = {}};
  };
  Trace trace;
  trace.fibers = {{1, 0, "main"}, {kFirst, 1, "data #2"}, {kFirst + 1, 1, "data"}};
  trace.events = {event("bio_submit", 1, 1), event("bio_submit", 1, 1),
                  event("bio_effect", 1, 1), event("bio_complete", kFirst + 1, 0),
                  event("bio_effect", 1, 1), event("bio_complete", kFirst, 5)};
  Decision decision;
  decision.events_before = 2;
  decision.kind = "effect";
  decision.to = kFirst + 1;
  trace.decisions = {decision};
  const RunModel run{trace};
  ASSERT_EQ(run.ios().size(), 2U);
  EXPECT_EQ(run.ios()[1].effect, 2U);
  EXPECT_EQ(run.ios()[1].complete, 3U);
  EXPECT_EQ(run.ios()[0].effect, 4U);
  EXPECT_EQ(run.ios()[0].status, 5U);
  EXPECT_EQ(run.io_of_decision(decision), &run.ios()[1]);
}

TEST(Selection, ShowsTheDecisionsTheConflictAndTheFailure) {
  const Trace trace = late_discard();
  const RunModel run{trace};
  const Selection selection = select_rows(run);
  EXPECT_EQ(selection.explanation,
            "The discard of data block 0 was submitted first and took effect last, over the write "
            "to data block 0.");
  EXPECT_EQ(selection.decisions.size(), 2U);
  EXPECT_LT(selection.rows.size(), 40U);
  bool culprit = false;
  bool second_mapping = false;
  for (const Row& row : selection.rows) {
    if (row.kind != RowKind::event) continue;
    culprit |= row.index == selection.culprit;
    const Event& e = trace.events[row.index];
    second_mapping |= e.op == "mapping_insert" && e.b == 1;
    EXPECT_EQ(e.object.find("metadata"), e.object == "rw_lock metadata" ? 8 : std::string::npos);
  }
  EXPECT_TRUE(culprit);
  EXPECT_TRUE(second_mapping);
  EXPECT_EQ(selection.rows.back().kind, RowKind::failure);
  EXPECT_EQ(selection.lanes[selection.rows.back().lane].name, "actor b");
  EXPECT_EQ(selection.lanes.back().name, "disk data");
}

// A fiber that may not wait, because of where it is.
Trace blocked_in_a_read_section() {
  Trace trace;
  trace.failed = true;
  trace.defect = {.kind = "atomic-context",
                  .message =
                      "BoundedPool::take may block, called inside an RCU read section "
                      "entered at engine/thin/pool_worker.cc:77",
                  .fiber = "pool.worker#2",
                  .point = 9};
  trace.fibers = {{.id = 1, .name = "main"}, {.id = 2, .name = "pool.worker"}};
  const auto add = [&](std::uint32_t fiber, const char* op, const char* object, std::uint32_t id,
                       std::uint32_t line) {
    trace.events.push_back({.point = trace.events.size(),
                            .fiber = fiber,
                            .op = op,
                            .object = object,
                            .object_id = id,
                            .file = "engine/thin/pool_worker.cc",
                            .line = line});
  };
  add(2, "rcu_read_lock", "rcu thin.active_thins", 7, 77);   // an earlier one, long left
  add(2, "rcu_read_unlock", "rcu thin.active_thins", 7, 78);
  add(1, "mutex_lock", "mutex other", 8, 20);
  add(2, "rcu_read_lock", "rcu thin.active_thins", 7, 77);
  add(2, "spin_lock", "spin_lock thin", 9, 80);
  add(2, "spin_unlock", "spin_lock thin", 9, 81);
  return trace;
}

TEST(Selection, ShowsInWhatAFiberIsThatMayNotWait) {
  const Trace trace = blocked_in_a_read_section();
  const RunModel run{trace};
  const Selection selection = select_rows(run);
  EXPECT_TRUE(selection.in_section);
  EXPECT_EQ(selection.culprit, 3U);
  EXPECT_EQ(selection.explanation,
            "pool.worker is still inside the read section that it entered at "
            "engine/thin/pool_worker.cc:77 when it comes to something that may have to wait.");
  const std::string svg = render_svg(trace);
  expect_well_formed_xml(svg);
  EXPECT_EQ(count_of(svg, "inside: nothing here may wait"), 1U);
  EXPECT_EQ(count_of(render_svg(late_discard()), "inside: nothing here may wait"), 0U);
  EXPECT_FALSE(select_rows(RunModel{late_discard()}).in_section);
}

TEST(Selection, IsInOrder) {
  const Trace trace = late_discard();
  const RunModel run{trace};
  std::size_t position = 0;
  for (const Row& row : select_rows(run).rows) {
    EXPECT_GE(row.position, position);
    position = row.position;
  }
}

TEST(Render, EveryFormIsTheSameEachTimeAndWellFormed) {
  for (const auto& make : {late_discard, deadlocked}) {
    const Trace trace = make();
    const std::string svg = render_svg(trace);
    EXPECT_EQ(svg, render_svg(trace));
    expect_well_formed_xml(svg);
    EXPECT_EQ(svg.find("NaN"), std::string::npos);
    EXPECT_EQ(render_dot(trace), render_dot(trace));
    expect_dot_reads(render_dot(trace));
    EXPECT_EQ(render_html(trace), render_html(trace));
    EXPECT_EQ(render_story(trace, "again"), render_story(trace, "again"));
    const auto json = nlohmann::json::parse(render_chrome_json(trace));
    EXPECT_GT(json["traceEvents"].size(), trace.events.size());
  }
}

TEST(Render, HtmlNeedsNobodyElse) {
  const std::string html = render_html(late_discard());
  EXPECT_EQ(html.find("src="), std::string::npos);
  EXPECT_EQ(html.find("http"), std::string::npos);
  EXPECT_EQ(html.find("<link"), std::string::npos);
}

TEST(Render, ChromeSlicesAndFlowsComeInPairs) {
  const auto json = nlohmann::json::parse(render_chrome_json(late_discard()));
  std::map<std::string, int> phases;
  for (const auto& event : json["traceEvents"])
    ++phases[event["ph"].get<std::string>()];
  EXPECT_EQ(phases["s"], phases["f"]);
  EXPECT_EQ(phases["b"], phases["e"]);
  EXPECT_GT(phases["X"], 5);
}

TEST(Story, NamesPlacesDecisionsAndTheCommand) {
  const std::string story = render_story(late_discard(), "wavetank replay out/1");
  for (const std::string_view part :
       {"Wrong data: thin 0 sector 128", "took effect last",
        "① pool.worker is put aside at "
        "engine/thin/pool_worker.cc:88",
        "② the write to data block 0 takes effect, before the "
        "older discard",
        "discard thin=0 sector=0 sectors=128", "wavetank replay out/1"})
    EXPECT_NE(story.find(part), std::string::npos) << part << "\n" << story;
  EXPECT_LT(count_of(story, "\n"), 80U);
}

// One of a program has no engine, no workload, no seed and no set-up.
TEST(Story, OfAProgramSpeaksOfTheProgram) {
  Trace trace = deadlocked();
  trace.world = Trace::kProgram;
  trace.workload.clear();
  trace.strategy.clear();
  trace.defect.kind = "assertion";
  trace.fibers = {{1, 0, "main"}, {2, 1, "alice"}, {3, 1, "bob"}};
  const std::string story = render_story(trace, "build/account --replay out/1");
  const std::string svg = render_svg(trace);
  for (const std::string& page : {story, svg}) {
    EXPECT_NE(page.find("The program fails its own check"), std::string::npos) << page;
    EXPECT_NE(page.find("threads: main, alice, bob"), std::string::npos) << page;
    for (const std::string_view word : {"The engine", "seed", "workload", "operations", "set-up"})
      EXPECT_EQ(page.find(word), std::string::npos) << word << "\n" << page;
  }
  EXPECT_NE(story.find("the program in the tank: "), std::string::npos) << story;
  const Trace engines = deadlocked();
  EXPECT_NE(render_story(engines, "").find("seed "), std::string::npos);
}

TEST(Render, HostileTextStaysText) {
  Trace trace = late_discard();
  const std::string bad = "</script><b>\"&'\\\xFF\x01]]>\n%s{}";
  trace.defect.message = trace.workload = trace.mutant = bad;
  for (Fiber& fiber : trace.fibers)
    fiber.name += bad;
  for (Event& event : trace.events)
    event.name = event.file = bad;
  expect_well_formed_xml(render_svg(trace));
  expect_dot_reads(render_dot(trace));
  EXPECT_EQ(count_of(render_html(trace), "</script>"), 1U);
  EXPECT_FALSE(nlohmann::json::parse(render_chrome_json(trace)).empty());
  EXPECT_FALSE(render_story(trace, bad).empty());
}

TEST(Render, TakesAnyTrace) {
  std::mt19937_64 random{7};
  for (int round = 0; round < 60; ++round) {
    Trace trace = round % 2 == 0 ? late_discard() : deadlocked();
    for (int k = 0; k < 30; ++k) {
      Event& event = trace.events[random() % trace.events.size()];
      const std::uint64_t value = random() % 3 == 0 ? ~std::uint64_t{0} : random() % 300;
      switch (random() % 8) {
        case 0:
          event.a = value;
          break;
        case 1:
          event.b = value;
          break;
        case 2:
          event.c = value;
          break;
        case 3:
          event.fiber = static_cast<std::uint32_t>(value);
          break;
        case 4:
          event.op = trace.events[random() % trace.events.size()].op;
          break;
        case 5:
          event.object_id = static_cast<std::uint32_t>(value);
          break;
        case 6:
          trace.decisions[random() % trace.decisions.size()].events_before = value;
          break;
        default:
          trace.decisions[random() % trace.decisions.size()].to = static_cast<std::uint32_t>(value);
      }
    }
    if (round % 7 == 0) trace.fibers.clear();
    if (round % 11 == 0) trace.decisions.clear();
    if (round % 13 == 0) trace.events.resize(1);
    expect_well_formed_xml(render_svg(trace));
    EXPECT_FALSE(render_dot(trace).empty());
    EXPECT_FALSE(render_html(trace).empty());
    EXPECT_FALSE(nlohmann::json::parse(render_chrome_json(trace)).empty());
    EXPECT_FALSE(render_story(trace, "").empty());
  }
  const Trace empty;
  expect_well_formed_xml(render_svg(empty));
  EXPECT_FALSE(render_story(empty, "").empty());
  EXPECT_FALSE(render_html(empty).empty());
  EXPECT_FALSE(nlohmann::json::parse(render_chrome_json(empty)).empty());
  EXPECT_FALSE(render_dot(empty).empty());
}

TEST(Outline, ReadsTheWorkloadsOwnToml) {
  const WorkloadOutline outline = outline_of(late_discard().workload);
  EXPECT_EQ(outline.scenario, "thin-discard-passdown");
  ASSERT_EQ(outline.actors.size(), 3U);
  EXPECT_EQ(outline.actors[0].name, "setup");
  EXPECT_EQ(outline.actors[2].name, "writer");
  EXPECT_EQ(outline.operation_count(), 4U);
}

TEST(Outline, WrapsAtBlanksAndNeverInsideACharacter) {
  EXPECT_EQ(wrapped("aa bb cc", 5), (std::vector<std::string>{"aa bb", "cc"}));
  EXPECT_EQ(wrapped("①②③", 2), (std::vector<std::string>{"①②", "③"}));
  EXPECT_EQ(wrapped("", 5), (std::vector<std::string>{""}));
}

TEST(Outline, OfAPlaceTheEndTellsMost) {
  EXPECT_EQ(end_of("pool.cc:7", 9), "pool.cc:7");
  EXPECT_EQ(end_of("engine/thin/pool.cc:7", 10), "…pool.cc:7");
  EXPECT_EQ(end_of("é①é①", 3), "…é①");
  EXPECT_EQ(end_of("abc", 0), "…");
}

// Seven lanes are narrow, and folders deep: no place is written into the next lane.
TEST(Svg, PlacesStayInTheirBoxes) {
  Trace trace = late_discard();
  for (Event& event : trace.events)
    event.file = "a/folder/of/many/folders/below/each/other/" + event.file;
  const std::string svg = render_svg(trace);
  EXPECT_EQ(svg.find("a/folder/of"), std::string::npos);
  EXPECT_NE(svg.find("discard.cc:"), std::string::npos);
}

TEST(Escape, ReplacesWhatIsNoText) {
  EXPECT_EQ(escape_xml("<\xC3\x28>"), "&lt;\xEF\xBF\xBD(&gt;");
  EXPECT_EQ(escape_json("\"\x01</\n"), "\\\"\\u0001\\u003c/\\u000a");
  EXPECT_EQ(well_formed("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Circle, ShowsWhoWaitsForWhom) {
  const Trace trace = deadlocked();
  ASSERT_TRUE(has_circle(trace));
  EXPECT_FALSE(has_circle(late_discard()));
  const std::string dot = circle_dot(trace);
  expect_dot_reads(dot);
  EXPECT_EQ(count_of(dot, " -> "), 4U);
  EXPECT_EQ(count_of(dot, "shape=ellipse"), 2U);
  EXPECT_EQ(count_of(dot, "shape=box"), 2U);
  const auto svg = render_circle(trace);
  ASSERT_TRUE(svg) << svg.error();
  EXPECT_EQ(*svg, render_circle(trace));
  for (const char* const word : {"actor a#3", "second@42", "engine/x.cc:11", "held by"})
    EXPECT_NE(svg->find(word), std::string::npos) << word;
}

TEST(Circle, TakesNamesOfAnyBytes) {
  Trace trace = deadlocked();
  for (CircleEdge& edge : trace.defect.circle)
    edge.from = edge.to = edge.why = "\"]; }\n\\<&\x01\xFF" + edge.why;
  expect_dot_reads(circle_dot(trace));
  EXPECT_TRUE(render_circle(trace));
}

}   // namespace
}   // namespace traces

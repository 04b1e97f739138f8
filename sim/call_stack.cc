#include "sim/call_stack.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <unwind.h>

#include <fmt/format.h>

#define BACKWARD_HAS_DW 1
#include <backward.hpp>

#include "sim/tsan.h"

namespace sim {
namespace {

// More of them tell a reader less.
constexpr std::size_t kLinesMax = 12;

// Whoever waits or takes a lock is in one of these, which says nothing about who it is.
bool is_the_tanks_own(std::string_view file) {
  static constexpr std::array<std::string_view, 11> kFiles{
      "engine/fiber/",         "engine/base/",           "sim/call_stack.",
      "sim/lock_order.",       "sim/library/",           "sim/execution.",
      "sim/execution_fibers.", "sim/execution_reports.", "sim/execution_decisions.",
      "sim/sim_device",        "sim/program/tank_world."};
  const auto holds = [&](std::string_view folder) {
    const std::size_t at = file.find(folder);
    return at == 0 || (at != std::string_view::npos && file[at - 1] == '/');
  };
  const bool of_the_system = file.empty() || (file.starts_with("/usr/") && !holds("wavetank"));
  return of_the_system || std::any_of(kFiles.begin(), kFiles.end(), holds);
}

// Without the parameters: "engine::thin::Pool::commit() const" and what is nested in it are
// engine::thin::Pool::commit.
std::string short_name(std::string_view function) {
  static constexpr std::string_view kAnonymous = "(anonymous namespace)::";
  // What Fiber::prepare() makes of what a fiber is to run, which has no name of its own.
  if (function.starts_with("prepare<")) return "the body of a thread";
  if (function == "operator()") return "a lambda";
  std::string name{function};
  for (std::size_t at = name.find(kAnonymous); at != std::string::npos; at = name.find(kAnonymous))
    name.erase(at, kAnonymous.size());
  int depth = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++depth;
    if (name[i] == '>') --depth;
    if (name[i] == '(' && depth <= 0) return name.substr(0, i);
  }
  return name;
}

struct Place {
  std::string function;   // short, as lines have it
  std::string file;
  unsigned line = 0;
};

// What is at an address, innermost first: all but the last were inlined into it.
std::vector<Place> look_up(backward::TraceResolver& resolver, void* address) {
  const backward::ResolvedTrace resolved = resolver.resolve(backward::Trace{address, 0});
  std::vector<Place> places;
  const auto add = [&](const backward::ResolvedTrace::SourceLoc& place) {
    places.push_back(Place{place.function, place.filename, place.line});
  };
  add(resolved.source);
  // What the resolver tells with the place of a call is whom it calls, so each place's function
  // comes with the next one.
  for (const backward::ResolvedTrace::SourceLoc& call : resolved.inliners) {
    places.back().function = call.function;
    add(call);
    places.back().function = resolved.source.function;
  }
  // The last one has a symbol, which says more than the debug information of a release build.
  if (!resolved.object_function.empty()) places.back().function = resolved.object_function;
  for (Place& place : places)
    place.function = short_name(place.function);
  return places;
}

// Of each address that was asked for: opening a program's debug information takes milliseconds, and
// a search asks for the same few places again and again.
class KnownPlaces {
 public:
  const std::vector<Place>& at(void* address) {
    const auto [found, is_new] = places_.try_emplace(address);
    if (is_new) {
      if (!resolver_) resolver_.emplace();
      found->second = look_up(*resolver_, address);
    }
    return found->second;
  }
  // A program may load more before it asks again, which an open one would not see.
  void close() { resolver_.reset(); }

 private:
  std::unordered_map<void*, std::vector<Place>> places_;   // looked up only, never gone through
  std::optional<backward::TraceResolver> resolver_;
};

}   // namespace

CallStack CallStack::here() noexcept {
  CallStack stack;
  const auto frame = [](_Unwind_Context* context, void* argument) {
    auto& found = *static_cast<CallStack*>(argument);
    int before = 0;
    auto address = _Unwind_GetIPInfo(context, &before);
    if (address == 0 || found.count_ == kFramesMax) return _URC_END_OF_STACK;
    // What is on the stack is where the call returns to.
    if (before == 0) --address;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): that is how it comes.
    found.frames_[found.count_++] = reinterpret_cast<void*>(address);
    return _URC_NO_REASON;
  };
  _Unwind_Backtrace(frame, &stack);
  return stack;
}

std::string CallStack::describe() const {
  const Hush hush;   // what is known is the tank's, whichever fiber asks
  static thread_local KnownPlaces known;
  std::string text;
  std::size_t lines = 0;
  for (std::uint32_t i = 0; i < count_ && lines < kLinesMax; ++i) {
    for (const Place& place : known.at(frames_[i])) {
      if (lines == kLinesMax) break;
      if (is_the_tanks_own(place.file)) continue;
      ++lines;
      text += fmt::format("  at {} ({}:{})\n", place.function, place.file, place.line);
    }
  }
  known.close();
  return text;
}

}   // namespace sim

// Events, decisions and defects in plain words, for people who do not know the code.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "traces/run_model.h"

namespace traces {

// "discard of data block 0 takes effect". No fiber, no place.
[[nodiscard]] std::string event_words(const RunModel& run, std::size_t index);
// "discard of data block 0", "write to thin 1 block 2".
[[nodiscard]] std::string io_words(const RunModel& run, const IoLife& io);
// "lock pool.metadata" of "mutex_lock pool.metadata"; "wait for work" ...
[[nodiscard]] std::string about_to_words(std::string_view stopped_at);
// What was decided: "pool.worker is put aside, about to lock pool.metadata; actor b goes on".
[[nodiscard]] std::string decision_words(const RunModel& run, const Decision& decision);
// The same in a few words, for a picture's marker.
[[nodiscard]] std::string decision_mark(const RunModel& run, const Decision& decision);
// "Deadlock", "Wrong data" ...
[[nodiscard]] std::string_view defect_title(const Trace& trace);
// Of a program: "threads: main, alice, bob", in the order in which they were started.
[[nodiscard]] std::string threads_words(const RunModel& run);
// What was not kept of a long run; empty: nothing.
[[nodiscard]] std::string left_out_words(const Trace& trace);
// "engine/thin/discard.cc:88", empty when unknown.
[[nodiscard]] std::string place(std::string_view file, std::uint32_t line);
// "pool.worker" for a fiber; "disk data" for an end of one of its I/Os.
[[nodiscard]] std::string who(const RunModel& run, std::uint32_t fiber);

// "①" to "⑳", then "(21)".
[[nodiscard]] std::string circled(std::size_t number);

}   // namespace traces

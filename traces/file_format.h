// The fixed words of a trace file, for writer and reader. See writer.h for the whole format.
#pragma once

#include <string_view>

namespace traces {

inline constexpr std::string_view kMagic = "wavetank trace ";
inline constexpr std::string_view kFirstLine = "wavetank trace 2";
inline constexpr std::string_view kTextMark = "| ";
inline constexpr std::string_view kRunSection = "run";
inline constexpr std::string_view kFindingSection = "finding";
inline constexpr std::string_view kDetailSection = "detail";
inline constexpr std::string_view kCircleSection = "circle";
inline constexpr std::string_view kWorkloadSection = "workload";
inline constexpr std::string_view kScheduleSection = "schedule";
inline constexpr std::string_view kFiberSection = "fibers";
inline constexpr std::string_view kDecisionSection = "decisions";
inline constexpr std::string_view kEventSection = "events";
inline constexpr std::string_view kLastLine = "[end] xxh64 ";
inline constexpr std::size_t kSumDigits = 16;

}   // namespace traces

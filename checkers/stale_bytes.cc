#include "checkers/stale_bytes.h"

#include <cstdint>
#include <cstring>

namespace checkers {
namespace {

// All bytes alike, so that a row of them holds a word of it wherever it begins.
constexpr std::uint64_t kMark =
    std::to_integer<std::uint64_t>(engine::kPoisonByte) * 0x0101010101010101ULL;
constexpr std::size_t kWord = sizeof kMark;

std::uint64_t word_at(const std::byte* bytes) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, kWord);
  return word;
}

}   // namespace

void mark_stale(engine::MutableBytes contents) noexcept {
  std::memset(contents.data(), std::to_integer<int>(engine::kPoisonByte), contents.size());
}

void judge_stale_bytes(std::string_view device, engine::Sector sector, engine::ConstBytes data,
                       Findings& findings) {
  // The common answer first, without a branch for each word.
  std::uint64_t marked = 0;
  for (std::size_t at = 0; at + kWord <= data.size(); at += kWord)
    marked += word_at(data.data() + at) == kMark ? 1U : 0U;
  if (marked == 0) return;
  std::size_t first = 0;
  while (word_at(data.data() + first) != kMark)
    first += kWord;
  findings.add("stale_bytes", std::string{device},
               "{} bytes that nobody wrote go to {}, sector {}, the first at byte {} of {}",
               marked * kWord, device, sector.value(), first, data.size());
}

}   // namespace checkers

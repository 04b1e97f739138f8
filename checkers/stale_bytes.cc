#include "checkers/stale_bytes.h"

#include <cstdint>
#include <cstring>

namespace checkers {
namespace {

// All bytes alike, so that a row of them holds a word of it wherever it begins.
constexpr int kMarkByte = std::to_integer<int>(engine::kPoisonByte);
constexpr std::uint64_t kMark =
    std::to_integer<std::uint64_t>(engine::kPoisonByte) * 0x0101010101010101ULL;
constexpr std::size_t kWord = sizeof kMark;

std::uint64_t word_at(const std::byte* bytes) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, kWord);
  return word;
}

// Where the next word is that is marked, looking word by word; data.size() if there is none.
std::size_t next_marked(engine::ConstBytes data, std::size_t from) noexcept {
  while (from < data.size()) {
    // All but a few blocks have no such byte, and looking for one is quick.
    const void* const found = std::memchr(&data[from], kMarkByte, data.size() - from);
    if (found == nullptr) break;
    const std::ptrdiff_t at = static_cast<const std::byte*>(found) - data.data();
    const std::size_t word = static_cast<std::size_t>(at) / kWord * kWord;
    if (word + kWord > data.size()) break;
    if (word_at(&data[word]) == kMark) return word;
    from = word + kWord;
  }
  return data.size();
}

}   // namespace

void mark_stale(engine::MutableBytes contents) noexcept {
  std::memset(contents.data(), kMarkByte, contents.size());
}

void judge_stale_bytes(std::string_view device, engine::Sector sector, engine::ConstBytes data,
                       Findings& findings) {
  const std::size_t first = next_marked(data, 0);
  std::uint64_t marked = 0;
  for (std::size_t at = first; at < data.size(); at = next_marked(data, at + kWord))
    ++marked;
  if (marked == 0) return;
  findings.add("stale_bytes", std::string{device},
               "{} bytes that nobody wrote go to {}, sector {}, the first at byte {} of {}",
               marked * kWord, device, sector.value(), first, data.size());
}

}   // namespace checkers

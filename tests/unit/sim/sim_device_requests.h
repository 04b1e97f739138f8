// Requests to a simulated disk, and what there is on it afterwards.
#pragma once

#include <array>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "engine/env/buffer.h"
#include "engine/fiber/completion.h"
#include "sim/execution.h"
#include "sim/sim_device.h"

namespace sim {

using engine::Bio;
using engine::BioOp;
using engine::Errc;
using engine::kSectorSize;
using engine::Sector;

// What is asked for; what is written has one byte all over.
struct Asked {
  BioOp op = BioOp::write;
  std::uint64_t sector = 0;
  std::uint64_t sectors = 0;
  int fill = 0;
  bool fua = false;
};

struct Request {
  explicit Request(const Asked& asked) : buffer{asked.sectors * kSectorSize} {
    std::memset(buffer.data(), asked.fill, buffer.size());
    bio.op = asked.op;
    bio.sector = Sector{asked.sector};
    bio.sectors = asked.sectors;
    bio.fua = asked.fua;
    if (asked.op == BioOp::read || asked.op == BioOp::write) bio.data = buffer.data();
  }
  Request(BioOp op, std::uint64_t sector, std::uint64_t sectors, int fill = 0, bool fua = false)
      : Request{Asked{op, sector, sectors, fill, fua}} {}
  // A write of single sectors, each with a letter.
  Request(std::uint64_t sector, const std::string& letters)
      : Request{Asked{.sector = sector, .sectors = letters.size()}} {
    for (std::size_t i = 0; i < letters.size(); ++i)
      std::memset(buffer.data() + i * kSectorSize, letters[i], kSectorSize);
  }
  engine::AlignedBuffer buffer;
  Bio bio;
};

// One that is not waited for at once.
class Sent : public Request {
 public:
  using Request::Request;
  void submit(SimDevice& device) {
    bio.owner = &ended_;
    bio.end_io = [](Bio& bio) { static_cast<engine::Completion*>(bio.owner)->signal(); };
    device.submit(bio);
  }
  void wait() { ended_.wait(); }

 private:
  engine::Completion ended_{"request"};
};

// What a sector holds, by its first word: '.' for zeroes, '?' for what a discard leaves.
inline char letter_at(const std::byte* sector) {
  std::uint64_t word = 0;
  std::memcpy(&word, sector, sizeof word);
  if (word == 0) return '.';
  return word >> 32U == kGarbage >> 32U ? '?' : static_cast<char>(sector[0]);
}

inline std::string letters_at(const std::byte* bytes, std::uint64_t sectors) {
  std::string letters;
  for (std::uint64_t i = 0; i < sectors; ++i)
    letters += letter_at(bytes + i * kSectorSize);
  return letters;
}

inline std::string letters_of(const DiskImage& image, std::uint64_t first, std::uint64_t sectors) {
  std::string letters;
  for (std::uint64_t s = first; s < first + sectors; ++s) {
    std::array<std::byte, kSectorSize> bytes;
    image.read(Sector{s}, bytes);
    letters += letter_at(bytes.data());
  }
  return letters;
}

inline Errc do_io(SimDevice& device, BioOp op, std::uint64_t sector, std::uint64_t sectors,
                  int fill = 0, bool fua = false) {
  Request request{op, sector, sectors, fill, fua};
  const auto result = submit_and_wait(device, request.bio);
  return result ? Errc::ok : result.error().code;
}

inline int first_byte(const DiskImage& image, std::uint64_t sector) {
  std::array<std::byte, kSectorSize> bytes;
  image.read(Sector{sector}, bytes);
  for (const std::byte b : bytes)
    EXPECT_EQ(b, bytes[0]) << "sector " << sector << " is torn inside";
  return static_cast<int>(bytes[0]);
}

inline int byte_now(const SimDevice& device, std::uint64_t sector) {
  std::array<std::byte, kSectorSize> bytes;
  device.peek(Sector{sector}, bytes);
  return static_cast<int>(bytes[0]);
}

// Runs under many seeds; no finding may come.
template <typename Body>
void for_seeds(std::uint64_t seeds, const Body& body) {
  Execution execution;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    execution.reset({.seed = seed});
    const Outcome& outcome = execution.run([&] { body(execution); });
    ASSERT_FALSE(outcome.finding) << seed << ": " << outcome.finding->message << '\n'
                                  << outcome.finding->detail;
  }
}

}   // namespace sim

// Requests to a simulated disk, and what there is on it afterwards.
#pragma once

#include <array>
#include <cstring>

#include <gtest/gtest.h>

#include "engine/env/buffer.h"
#include "sim/execution.h"
#include "sim/sim_device.h"

namespace sim {

using engine::Bio;
using engine::BioOp;
using engine::Errc;
using engine::kSectorSize;
using engine::Sector;

// A request whose sectors are filled with one byte.
struct Request {
  Request(BioOp op, std::uint64_t sector, std::uint64_t sectors, int fill = 0, bool fua = false)
      : buffer{sectors * kSectorSize} {
    std::memset(buffer.data(), fill, buffer.size());
    bio.op = op;
    bio.sector = Sector{sector};
    bio.sectors = sectors;
    bio.fua = fua;
    if (op == BioOp::read || op == BioOp::write) bio.data = buffer.data();
  }
  engine::AlignedBuffer buffer;
  Bio bio;
};

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

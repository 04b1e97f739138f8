// Copies and zeroes ranges of sectors between devices, asynchronously and with bounded memory.
//
// A job is cut into chunks; each chunk takes one of the copier's buffers, which bounds the memory
// and what is in flight. Jobs are served in the order they came. Zeroing asks for
// BioOp::write_zeroes and writes zeroes where the device does not support that.
//
// Keep: a job's `done` is called once, when none of its transfers is in flight any more; nothing of
// the job is touched after that. After the first error of a job no further chunk of it starts.
#pragma once

#include <cstdint>
#include <memory>
#include <source_location>
#include <vector>

#include <boost/intrusive/list.hpp>

#include "engine/env/block_device.h"
#include "engine/env/buffer.h"
#include "engine/fiber/waiters.h"

namespace engine::io {

// Intrusive: the caller owns it, fills in the first part, and keeps it until `done` is called.
struct CopyJob {
  using Done = void (*)(CopyJob& job, Errc status);

  BlockDevice* from = nullptr;   // null: zeroes
  Sector from_sector{0};
  BlockDevice* to = nullptr;
  Sector to_sector{0};
  std::uint64_t sectors = 0;
  // Completion context (also when the job has no sectors or fails at once). May free the job.
  // io_error, or power_lost; what the target range then holds is unknown.
  Done done = nullptr;
  void* owner = nullptr;

  // --- For the copier. ---
  boost::intrusive::list_member_hook<> hook;
  std::uint64_t chunk_sectors = 0;
  std::uint64_t next = 0;        // sectors given to chunks so far
  std::uint32_t in_flight = 0;   // chunks
  Errc status = Errc::ok;        // the first error
  bool write_zeroes = false;     // not yet refused by the device
};

struct CopierOptions {
  std::uint32_t chunk_sectors = 128;   // 64 KiB
  std::uint32_t chunks_max = 16;
};

class Copier {
 public:
  using Options = CopierOptions;

  explicit Copier(const char* name, const Options& options = {});
  // No job may be under way.
  ~Copier();
  Copier(const Copier&) = delete;
  Copier& operator=(const Copier&) = delete;

  // Any context; does not suspend. Owns `job` until its `done`.
  void start(CopyJob& job, std::source_location where = std::source_location::current());

  // Jobs under way or waiting.
  [[nodiscard]] std::uint64_t in_use() const noexcept;

 private:
  struct Chunk;
  enum class Step : std::uint8_t { reading, writing, zeroing };
  using JobList = boost::intrusive::list<
      CopyJob,
      boost::intrusive::member_hook<CopyJob, boost::intrusive::list_member_hook<>, &CopyJob::hook>>;
  struct ChunkBase : boost::intrusive::list_base_hook<> {};
  using ChunkList = boost::intrusive::list<ChunkBase>;

  static void chunk_ended(Bio& bio);
  void run(std::source_location where);
  [[nodiscard]] Chunk* next_step(JobList& finished);
  [[nodiscard]] Chunk* free_chunk();
  void begin(Chunk& chunk, CopyJob& job);
  [[nodiscard]] bool after(Chunk& chunk, JobList& finished);
  static void set_bio(Chunk& chunk, Step step, BioOp op, std::byte* data);

  const char* name_;
  Options options_;
  mutable RawLock raw_;   // guards all below
  JobList waiting_;       // have chunks that have not begun
  std::uint64_t jobs_ = 0;
  std::vector<std::unique_ptr<Chunk>> chunks_;
  ChunkList free_;
  ChunkList ended_;        // came back: their next step is due
  bool running_ = false;   // somebody is in run()
  AlignedBuffer zeroes_;
};

}   // namespace engine::io

// Copies and zeroes ranges of sectors between devices, asynchronously and with bounded memory. A
// part of the target may come from memory instead: then the copy and that write are one transfer.
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
  // Sectors [overlay_begin, overlay_end) of the target, counted from `to_sector`, get these bytes
  // (null: zeroes) and not the source's. They stay valid until `done`.
  std::uint64_t overlay_begin = 0;
  std::uint64_t overlay_end = 0;
  const std::byte* overlay = nullptr;
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
  bool write_zeroes = true;      // not yet refused by the device
};

struct CopierOptions {
  std::uint32_t chunk_sectors = 128;   // 64 KiB
  std::uint32_t chunks_max = 64;
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
  enum class Step : std::uint8_t { read, write, write_zeroes };
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
  [[nodiscard]] std::size_t chunk_bytes() const noexcept {
    return std::size_t{options_.chunk_sectors} << kSectorShift;
  }
  void set_bio(Chunk& chunk);
  [[nodiscard]] std::byte* bytes_to_write(Chunk& chunk);

  const char* name_;
  Options options_;
  SyncObject jobs_object_;   // what raw_ guards
  mutable RawLock raw_;      // guards all below but the last
  JobList waiting_;          // have chunks that have not begun
  std::uint64_t jobs_ = 0;
  std::vector<std::unique_ptr<Chunk>> chunks_;
  ChunkList free_;
  ChunkList ended_;        // came back: their next step is due
  bool running_ = false;   // somebody is in run()
  AlignedBuffer zeroes_;   // theirs
};

}   // namespace engine::io

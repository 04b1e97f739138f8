#include "engine/io/copier.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "engine/fiber/stale.h"

namespace engine::io {

struct Copier::Chunk : ChunkBase {
  Bio bio;
  AlignedBuffer buffer;   // of options_.chunk_sectors, once it has been needed
  // Bytes of the buffer outside of these are zero.
  std::size_t dirty_begin = 0;
  std::size_t dirty_end = 0;
  Copier* copier = nullptr;
  CopyJob* job = nullptr;
  Step step = Step::read;
  std::uint64_t at = 0;        // first sector, within the job, of this step
  std::uint64_t sectors = 0;   // of this step
  std::uint64_t end = 0;       // of the chunk

  // The part of this step that comes from memory; empty: end <= begin.
  [[nodiscard]] std::uint64_t overlay_begin() const noexcept {
    return std::max(at, job->overlay_begin);
  }
  [[nodiscard]] std::uint64_t overlay_end() const noexcept {
    return std::min(at + sectors, job->overlay_end);
  }
  [[nodiscard]] bool overlaid() const noexcept { return overlay_begin() < overlay_end(); }
  [[nodiscard]] bool all_overlaid() const noexcept {
    return overlay_begin() == at && overlay_end() == at + sectors;
  }
};

Copier::Copier(const char* name, const Options& options)
    : name_{name}, options_{options}, jobs_object_{SyncObject::Quiet::yes, name} {
  ENGINE_CHECK(options_.chunk_sectors != 0, "{}: chunks of no sectors", name);
  ENGINE_CHECK(options_.chunks_max != 0, "{}: no chunks", name);
}

Copier::~Copier() {
  ENGINE_CHECK_ALIVE(jobs_ == 0, "{}: destroyed with {} jobs", name_, jobs_);
  free_.clear();
}

std::uint64_t Copier::in_use() const noexcept {
  const RawGuard guard{raw_};
  return jobs_;
}

void Copier::start(CopyJob& job, std::source_location where) {
  ENGINE_CHECK(job.to != nullptr, "{}: a job without a target", name_);
  ENGINE_CHECK(job.done != nullptr, "{}: a job that tells nobody", name_);
  job.next = 0;
  job.in_flight = 0;
  job.status = Errc::ok;
  job.write_zeroes = true;
  if (job.sectors == 0) {
    const ContextScope scope{ContextKind::completion, where};
    job.done(job, Errc::ok);
    return;
  }
  job.chunk_sectors =
      std::min<std::uint64_t>(options_.chunk_sectors, job.to->limits().transfer_sectors_max);
  if (job.from != nullptr)
    job.chunk_sectors =
        std::min<std::uint64_t>(job.chunk_sectors, job.from->limits().transfer_sectors_max);
  {
    const RawGuard guard{raw_};
    also_touches(jobs_object_);
    ++jobs_;
    waiting_.push_back(job);
  }
  run(where);
}

void Copier::chunk_ended(Bio& bio) {
  Chunk& chunk = *static_cast<Chunk*>(bio.owner);
  Copier& copier = *chunk.copier;
  {
    const RawGuard guard{copier.raw_};
    also_touches(copier.jobs_object_);
    copier.ended_.push_back(chunk);
  }
  copier.run(std::source_location::current());
}

// Moves chunks on until none can. One caller at a time does it for all, so devices that complete
// inside submit() cost no recursion. Nothing of the copier is touched once a `done` is called: it
// may be what the copier's owner waits for.
void Copier::run(std::source_location where) {
  JobList finished;
  {
    const RawGuard guard{raw_};
    also_touches(jobs_object_);
    if (running_) return;
    running_ = true;
  }
  for (;;) {
    Chunk* chunk = nullptr;
    {
      const RawGuard guard{raw_};
      also_touches(jobs_object_);
      chunk = next_step(finished);
      if (chunk == nullptr) {
        running_ = false;
        break;
      }
    }
    set_bio(*chunk);
    BlockDevice* const device = chunk->step == Step::read ? chunk->job->from : chunk->job->to;
    device->submit(chunk->bio, where);
  }
  const ContextScope scope{ContextKind::completion, where};
  while (!finished.empty()) {
    CopyJob& job = finished.front();
    finished.pop_front();
    job.done(job, job.status);
  }
}

// Under raw_: the chunk to submit next, if any.
Copier::Chunk* Copier::next_step(JobList& finished) {
  while (!ended_.empty()) {
    auto& chunk = static_cast<Chunk&>(ended_.front());
    ended_.pop_front();
    if (after(chunk, finished)) return &chunk;
  }
  if (waiting_.empty()) return nullptr;
  Chunk* const chunk = free_chunk();
  if (chunk != nullptr) begin(*chunk, waiting_.front());
  return chunk;
}

Copier::Chunk* Copier::free_chunk() {
  if (!free_.empty()) {
    auto& chunk = static_cast<Chunk&>(free_.front());
    free_.pop_front();
    return &chunk;
  }
  if (chunks_.size() == options_.chunks_max) return nullptr;
  chunks_.push_back(std::make_unique<Chunk>());
  chunks_.back()->copier = this;
  return chunks_.back().get();
}

// Under raw_: gives the next part of `job` to `chunk`. Zeroes are one part as far as the next chunk
// that has something else in it.
void Copier::begin(Chunk& chunk, CopyJob& job) {
  const std::uint64_t left = job.sectors - job.next;
  const std::uint64_t one = std::min(left, job.chunk_sectors);
  chunk.job = &job;
  chunk.at = job.next;
  chunk.sectors = one;
  Step step = Step::read;
  if (chunk.all_overlaid()) {
    step = job.overlay == nullptr && job.write_zeroes ? Step::write_zeroes : Step::write;
  } else if (job.from == nullptr) {
    step = Step::write;
    if (!chunk.overlaid() && job.write_zeroes) {
      step = Step::write_zeroes;
      if (job.overlay_end <= job.overlay_begin || job.overlay_end <= chunk.at) {
        chunk.sectors = left;
      } else {
        chunk.sectors = (job.overlay_begin - chunk.at) / job.chunk_sectors * job.chunk_sectors;
      }
    }
  }
  chunk.end = chunk.at + chunk.sectors;
  job.next = chunk.end;
  ++job.in_flight;
  if (job.next == job.sectors) waiting_.erase(waiting_.iterator_to(job));
  chunk.step = step;
}

// Under raw_: what follows the step that has ended. True: the chunk's bio is to be submitted again.
bool Copier::after(Chunk& chunk, JobList& finished) {
  CopyJob& job = *chunk.job;
  Errc status = chunk.bio.status;
  if (job.status == Errc::ok) {
    if (status == Errc::ok && chunk.step == Step::read) {
      chunk.step = Step::write;
      return true;
    }
    if (status == Errc::not_supported && chunk.step == Step::write_zeroes) {
      job.write_zeroes = false;
      chunk.step = Step::write;
      chunk.sectors = std::min(chunk.sectors, job.chunk_sectors);
      return true;
    }
    // Zeroes that the device would not make itself.
    chunk.at += chunk.sectors;
    if (status == Errc::ok && chunk.at < chunk.end) {
      chunk.sectors = std::min(chunk.end - chunk.at, job.chunk_sectors);
      return true;
    }
  }
  --job.in_flight;
  if (chunk.buffer.size() != 0)
    contents_are_stale(
        chunk.buffer.bytes().subspan(chunk.dirty_begin, chunk.dirty_end - chunk.dirty_begin));
  free_.push_front(chunk);
  if (status != Errc::ok && job.status == Errc::ok) {
    job.status = status;
    if (job.next != job.sectors) waiting_.erase(waiting_.iterator_to(job));
    job.next = job.sectors;
  }
  if (job.next == job.sectors && job.in_flight == 0) {
    --jobs_;
    finished.push_back(job);
  }
  return false;
}

// By whoever is in run(), without raw_: it may copy a whole chunk.
void Copier::set_bio(Chunk& chunk) {
  const CopyJob& job = *chunk.job;
  Bio& bio = chunk.bio;
  bio.sector = (chunk.step == Step::read ? job.from_sector : job.to_sector) + chunk.at;
  bio.sectors = chunk.sectors;
  bio.end_io = &Copier::chunk_ended;
  bio.owner = &chunk;
  switch (chunk.step) {
    case Step::read:
      if (chunk.buffer.size() == 0) chunk.buffer = AlignedBuffer{chunk_bytes()};
      chunk.dirty_begin = 0;
      chunk.dirty_end = chunk.buffer.size();
      bio.op = BioOp::read;
      bio.data = chunk.buffer.data();
      return;
    case Step::write:
      bio.op = BioOp::write;
      bio.data = bytes_to_write(chunk);
      return;
    case Step::write_zeroes:
      bio.op = BioOp::write_zeroes;
      bio.data = nullptr;
      return;
  }
}

// The overlay itself, the zeroes that all share, or the chunk's buffer with the overlay in it.
std::byte* Copier::bytes_to_write(Chunk& chunk) {
  const CopyJob& job = *chunk.job;
  const std::uint64_t begin = chunk.overlay_begin();
  const std::uint64_t end = chunk.overlay_end();
  const std::byte* const overlay =
      job.overlay == nullptr ? nullptr
                             : job.overlay + ((begin - job.overlay_begin) << kSectorShift);
  if (chunk.all_overlaid() && overlay != nullptr) return const_cast<std::byte*>(overlay);
  if (chunk.all_overlaid() || (job.from == nullptr && !chunk.overlaid())) {
    if (zeroes_.size() == 0) zeroes_ = AlignedBuffer{chunk_bytes()};
    return zeroes_.data();
  }
  if (chunk.buffer.size() == 0) chunk.buffer = AlignedBuffer{chunk_bytes()};
  std::byte* const bytes = chunk.buffer.data();
  if (job.from == nullptr) {
    std::memset(bytes + chunk.dirty_begin, 0, chunk.dirty_end - chunk.dirty_begin);
    chunk.dirty_begin = (begin - chunk.at) << kSectorShift;
    chunk.dirty_end = (end - chunk.at) << kSectorShift;
  }
  if (begin < end) {
    std::byte* const to = bytes + ((begin - chunk.at) << kSectorShift);
    const std::size_t size = (end - begin) << kSectorShift;
    if (overlay == nullptr) {
      std::memset(to, 0, size);
    } else {
      std::memcpy(to, overlay, size);
    }
  }
  return bytes;
}

}   // namespace engine::io

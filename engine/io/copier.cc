#include "engine/io/copier.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace engine::io {

struct Copier::Chunk : ChunkBase {
  Bio bio;
  AlignedBuffer buffer;   // of options_.chunk_sectors, once it has been needed
  Copier* copier = nullptr;
  CopyJob* job = nullptr;
  Step step = Step::reading;
  std::uint64_t at = 0;   // first sector, within the job
  std::uint64_t sectors = 0;
};

Copier::Copier(const char* name, const Options& options) : name_{name}, options_{options} {
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
  job.write_zeroes = job.from == nullptr;
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
    if (running_) return;
    running_ = true;
  }
  for (;;) {
    Chunk* chunk = nullptr;
    {
      const RawGuard guard{raw_};
      chunk = next_step(finished);
      if (chunk == nullptr) {
        running_ = false;
        break;
      }
    }
    BlockDevice* const device = chunk->step == Step::reading ? chunk->job->from : chunk->job->to;
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

// Under raw_: gives the next part of `job` to `chunk`.
void Copier::begin(Chunk& chunk, CopyJob& job) {
  chunk.job = &job;
  chunk.at = job.next;
  chunk.sectors = job.sectors - job.next;
  if (!job.write_zeroes) chunk.sectors = std::min(chunk.sectors, job.chunk_sectors);
  job.next += chunk.sectors;
  ++job.in_flight;
  if (job.next == job.sectors) waiting_.erase(waiting_.iterator_to(job));
  if (job.write_zeroes) {
    set_bio(chunk, Step::zeroing, BioOp::write_zeroes, nullptr);
  } else if (job.from == nullptr) {
    if (zeroes_.size() == 0)
      zeroes_ = AlignedBuffer{std::size_t{options_.chunk_sectors} << kSectorShift};
    set_bio(chunk, Step::writing, BioOp::write, zeroes_.data());
  } else {
    if (chunk.buffer.size() == 0)
      chunk.buffer = AlignedBuffer{std::size_t{options_.chunk_sectors} << kSectorShift};
    set_bio(chunk, Step::reading, BioOp::read, chunk.buffer.data());
  }
}

// Under raw_: what follows the step that has ended. True: the chunk's bio is to be submitted again.
bool Copier::after(Chunk& chunk, JobList& finished) {
  CopyJob& job = *chunk.job;
  const Errc status = chunk.bio.status;
  if (status == Errc::ok && chunk.step == Step::reading && job.status == Errc::ok) {
    set_bio(chunk, Step::writing, BioOp::write, chunk.buffer.data());
    return true;
  }
  --job.in_flight;
  free_.push_front(chunk);
  if (chunk.step == Step::zeroing && status == Errc::not_supported) {
    job.write_zeroes = false;
    job.next = 0;
    waiting_.push_front(job);
    return false;
  }
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

void Copier::set_bio(Chunk& chunk, Step step, BioOp op, std::byte* data) {
  chunk.step = step;
  Bio& bio = chunk.bio;
  bio.op = op;
  bio.sector = (step == Step::reading ? chunk.job->from_sector : chunk.job->to_sector) + chunk.at;
  bio.sectors = chunk.sectors;
  bio.data = data;
  bio.end_io = &Copier::chunk_ended;
  bio.owner = &chunk;
}

}   // namespace engine::io

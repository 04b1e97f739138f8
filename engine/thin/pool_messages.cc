// Messages to a pool. Each that succeeds has been committed when it returns.
#include <vector>

#include "engine/thin/parse.h"
#include "engine/thin/pool.h"

namespace engine::thin {
namespace {

using Words = std::span<const std::string_view>;

Failure bad_message(const char* what) {
  return fail(Errc::invalid, 0, what);
}

Failure no_messages() {
  return fail(Errc::not_supported, 0, "the pool's mode allows no messages");
}

// Not a refusal: the change may have been made by half.
[[nodiscard]] bool is_failure(Errc code) noexcept {
  return code == Errc::io_error || code == Errc::corrupt || code == Errc::power_lost ||
         code == Errc::no_metadata_space || code == Errc::no_data_space;
}

// Quiesces the devices of a thin while it lives. Their users need not: a snapshot that is taken
// under I/O in flight would go on changing.
class QuietThin {
 public:
  QuietThin(ActiveThins& active, ThinId id) {
    for (ThinPin thin = active.first(); thin;) {
      ThinPin after = active.next(thin);
      if (thin->id() == id) quiet_.push_back(std::move(thin));
      thin = std::move(after);
    }
    ActiveThins::upper_first(quiet_);
    for (const ThinPin& thin : quiet_)
      thin->owner().internal_suspend_noflush();
  }
  ~QuietThin() {
    for (const ThinPin& thin : quiet_)
      thin->owner().internal_resume();
  }
  QuietThin(const QuietThin&) = delete;
  QuietThin& operator=(const QuietThin&) = delete;

 private:
  std::vector<ThinPin> quiet_;
};

[[nodiscard]] std::optional<ThinId> snapshot_origin(Words args) {
  if (args.size() != 3 || !same_name(args[0], "create_snap")) return std::nullopt;
  return parse_thin_id(args[2]);
}

Result<void> create_thin(Metadata& metadata, Words args) {
  if (args.size() != 2) return bad_message("create_thin takes one argument");
  const auto id = parse_thin_id(args[1]);
  if (!id) return bad_message("Invalid device id");
  return metadata.create_thin(*id);
}

Result<void> create_snap(Metadata& metadata, Words args) {
  if (args.size() != 3) return bad_message("create_snap takes two arguments");
  const auto id = parse_thin_id(args[1]);
  const auto origin = parse_thin_id(args[2]);
  if (!id || !origin) return bad_message("Invalid device id");
  return metadata.create_snap(*id, *origin);
}

Result<void> delete_thin(Metadata& metadata, Words args) {
  if (args.size() != 2) return bad_message("delete takes one argument");
  const auto id = parse_thin_id(args[1]);
  if (!id) return bad_message("Invalid device id");
  return metadata.delete_device(*id);
}

Result<void> set_transaction_id(Metadata& metadata, Words args) {
  if (args.size() != 3) return bad_message("set_transaction_id takes two arguments");
  const auto current = parse_number(args[1]);
  const auto next = parse_number(args[2]);
  if (!current || !next) return bad_message("Invalid transaction id");
  return metadata.set_transaction_id(*current, *next);
}

Result<void> reserve_metadata_snap(Metadata& metadata, Words args) {
  if (args.size() != 1) return bad_message("reserve_metadata_snap takes no argument");
  return metadata.reserve_metadata_snapshot();
}

Result<void> release_metadata_snap(Metadata& metadata, Words args) {
  if (args.size() != 1) return bad_message("release_metadata_snap takes no argument");
  return metadata.release_metadata_snapshot();
}

struct Verb {
  std::string_view name;
  Result<void> (*run)(Metadata& metadata, Words args);
};

constexpr Verb kVerbs[] = {
    {"create_thin", &create_thin},
    {"create_snap", &create_snap},
    {"delete", &delete_thin},
    {"set_transaction_id", &set_transaction_id},
    {"reserve_metadata_snap", &reserve_metadata_snap},
    {"release_metadata_snap", &release_metadata_snap},
};

}   // namespace

Result<std::string> Pool::message(Words args) {
  std::optional<QuietThin> quiet;
  if (const auto origin = snapshot_origin(args)) quiet.emplace(active_, *origin);
  const auto done = on_worker("pool.message", [&] { return run_message(args); });
  if (!done) return Failure{done.error()};
  return std::string{};
}

// What is open is committed first, so that a message is alone in its transaction: one that fails is
// taken back, and nothing goes with it. A message takes as much metadata as there are mappings and
// bitmaps that it touches, so no estimate says beforehand which of them may fail.
Result<void> Pool::run_message(Words args) {
  if (!changes_metadata(mode())) return no_messages();
  for (const Verb& verb : kVerbs) {
    if (args.empty() || !same_name(args[0], verb.name)) continue;
    const auto committed = commit_if_changed();
    if (!changes_metadata(mode())) return no_messages();
    ENGINE_TRY(committed);   // the data device does not flush
    data_flush_failed_ = false;
    auto done = verb.run(*metadata_, args);
    if (done) done = try_commit();
    if (!done && is_failure(done.error().code)) message_failed(done.error());
    return done;
  }
  return bad_message("Unrecognised thin pool target message");
}

// Linux leaves the half of a change that ran out of space in the open transaction. Ours takes it
// back, and the pool is as it was; and so where the data device does not flush, before which
// nothing of a commit is written, for who is told of an error takes the message for not done.
void Pool::message_failed(const Error& error) {
  if (error.code != Errc::no_metadata_space && !data_flush_failed_)
    return metadata_failed("message", error);
  changed_ = false;
  if (!metadata_->take_back()) set_mode(PoolMode::fail, "a message could not be taken back");
}

}   // namespace engine::thin

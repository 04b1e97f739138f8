// Random histories of a pool's metadata against a model of maps. At every commit the image is
// judged by the checker and compared with the model, mapping by mapping; aborts return to the
// commit before; the pools are small, so they run out of space of both kinds.
#include <algorithm>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "tests/unit/thin/metadata_tank.h"

namespace engine::thin {
namespace {

enum class Op : std::uint8_t {
  create,
  snap,
  remove_device,
  write,
  write_run,
  discard,
  commit,
  abort,
  reserve,
  release,
  transaction_id,
  grow,
  query,
  reopen,
};
constexpr const char* kNames[] = {
    "create", "snap",    "remove_device", "write",          "write_run", "discard", "commit",
    "abort",  "reserve", "release",       "transaction_id", "grow",      "query",   "reopen"};

struct Step {
  Op op{};
  std::uint32_t id = 0;
  std::uint32_t other = 0;
  std::uint64_t block = 0;
  std::uint64_t count = 0;
};

void showValue(const Step& step, std::ostream& out) {   // NOLINT(readability-identifier-naming)
  out << kNames[static_cast<int>(step.op)] << "(" << step.id << ", " << step.other << ", "
      << step.block << ", " << step.count << ")";
}

rc::Gen<std::vector<Step>> steps() {
  const auto op = rc::gen::weightedElement<Op>({{3, Op::create},
                                                {4, Op::snap},
                                                {2, Op::remove_device},
                                                {8, Op::write},
                                                {6, Op::write_run},
                                                {6, Op::discard},
                                                {4, Op::commit},
                                                {1, Op::abort},
                                                {1, Op::reserve},
                                                {1, Op::release},
                                                {1, Op::transaction_id},
                                                {1, Op::grow},
                                                {4, Op::query},
                                                {1, Op::reopen}});
  return rc::gen::container<std::vector<Step>>(rc::gen::construct<Step>(
      op, rc::gen::inRange<std::uint32_t>(0, 6), rc::gen::inRange<std::uint32_t>(0, 6),
      rc::gen::inRange<std::uint64_t>(0, 100), rc::gen::inRange<std::uint64_t>(1, 40)));
}

struct ModelMapping {
  std::uint64_t data = 0;
  std::uint32_t time = 0;
};
struct ModelDevice {
  std::map<std::uint64_t, ModelMapping> mappings;
  std::uint64_t transaction_id = 0;
  std::uint32_t creation_time = 0;
  std::uint32_t snapshotted_time = 0;
};
struct Model {
  std::map<std::uint32_t, ModelDevice> devices;
  std::uint32_t time = 0;
  std::uint64_t transaction_id = 0;
  std::uint64_t data_blocks = 0;
  std::optional<std::map<std::uint32_t, ModelDevice>> held;
};

std::string compare(const std::map<std::uint32_t, ModelDevice>& devices,
                    const checkers::image::ThinDump& dump) {
  if (!dump.ok()) return dump.error;
  if (dump.devices.size() != devices.size()) return "number of devices";
  for (const auto& [id, device] : devices) {
    const checkers::image::DumpedDevice* const found = dump.device(id);
    if (found == nullptr) return fmt::format("device {} is missing", id);
    if (found->details.mapped_blocks != device.mappings.size())
      return fmt::format("device {}: mapped_blocks", id);
    if (found->details.transaction_id != device.transaction_id ||
        found->details.creation_time != device.creation_time ||
        found->details.snapshotted_time != device.snapshotted_time)
      return fmt::format("device {}: record", id);
    if (found->mappings.size() != device.mappings.size())
      return fmt::format("device {}: mappings", id);
    auto at = found->mappings.begin();
    for (const auto& [block, mapping] : device.mappings) {
      if (at->virtual_block != block || at->data_block != mapping.data || at->time != mapping.time)
        return fmt::format("device {}: mapping of {}", id, block);
      ++at;
    }
  }
  return {};
}

class History {
 public:
  History(sim::SimDevice& device, const MetadataOptions& options)
      : device_{device}, options_{options}, metadata_{must(Metadata::open(device, options))} {
    must(metadata_->resize_data(40));
    model_.data_blocks = 40;
    must(metadata_->commit());
    committed_ = model_;
  }

  std::string run(const std::vector<Step>& steps) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      std::string wrong = step(steps[i]);
      if (!wrong.empty()) return fmt::format("step {}: {}", i, wrong);
    }
    std::string wrong = commit();
    close_all();
    must(metadata_->close());
    return wrong;
  }

 private:
  OpenThin& opened(std::uint32_t id) {
    const auto found = open_.find(id);
    if (found != open_.end()) return *found->second;
    OpenThin* const device = must(metadata_->open_device(ThinId{id}));
    open_.emplace(id, device);
    return *device;
  }
  void close(std::uint32_t id) {
    const auto found = open_.find(id);
    if (found == open_.end()) return;
    metadata_->close_device(*found->second);
    open_.erase(found);
  }
  void close_all() {
    while (!open_.empty())
      close(open_.begin()->first);
  }

  // A change ended with `code`. Running out of metadata means an abort; nothing else may go wrong.
  std::string after(Errc code, Errc expected) {
    if (code == expected) return {};
    if (code != Errc::no_metadata_space)
      return fmt::format("{} and not {}", to_string(code), to_string(expected));
    if (code_of(metadata_->commit()) != code) return "half a change was committed";
    return abort();
  }

  std::string commit() {
    const Result<void> result = metadata_->commit();
    if (!result) return after(code_of(result), Errc::ok);
    committed_ = model_;
    return judge();
  }

  std::string judge() {
    const sim::DiskImageRef image = device_.durable_snapshot();
    std::string wrong = faults_of(*image);
    if (!wrong.empty()) return wrong;
    ImageSource source{*image};
    wrong = compare(model_.devices, checkers::image::dump_thin(source));
    if (!wrong.empty() || !model_.held) return wrong;
    return compare(*model_.held,
                   checkers::image::dump_thin(source, checkers::image::DumpWhich::held));
  }

  std::string abort() {
    std::map<std::uint32_t, bool> changed;
    for (const auto& [id, device] : open_)
      changed[id] =
          metadata_->changed_this_transaction(*device) || metadata_->aborted_with_changes(*device);
    must(metadata_->abort());
    model_ = committed_;
    for (const auto& [id, device] : open_) {
      if (metadata_->aborted_with_changes(*device) != changed[id]) return "aborted_with_changes";
      if (metadata_->changed_this_transaction(*device)) return "changed after an abort";
    }
    for (auto it = open_.begin(); it != open_.end();) {
      if (!model_.devices.contains(it->first)) {
        if (code_of(metadata_->lookup(*it->second, VirtBlock{0})) != Errc::not_found)
          return "a device that is not there";
        metadata_->close_device(*it->second);
        it = open_.erase(it);
        continue;
      }
      if (must(metadata_->mapped_count(*it->second)) != model_.devices[it->first].mappings.size())
        return "mapped count after an abort";
      ++it;
    }
    return {};
  }

  std::string write(std::uint32_t id, std::uint64_t block) {
    if (!model_.devices.contains(id)) return {};
    Result<DataBlock> data = metadata_->alloc_data_block();
    if (code_of(data) == Errc::no_data_space) {
      // What was freed in this transaction becomes usable with a commit.
      std::string wrong = commit();
      if (!wrong.empty() || !model_.devices.contains(id)) return wrong;
      data = metadata_->alloc_data_block();
      if (code_of(data) == Errc::no_data_space) {
        if (must(metadata_->free_data_blocks()) != 0) return "free, and cannot be allocated";
        return {};
      }
    }
    if (!data) return after(code_of(data), Errc::ok);
    if (must(metadata_->data_ref_count(*data)) != 0) return "count of a block not mapped yet";
    for (const Model* const model : {&model_, &committed_}) {
      for (const auto& [other, device] : model->devices) {
        for (const auto& [at, mapping] : device.mappings) {
          if (mapping.data == data->value())
            return fmt::format("block {} is used by device {}", *data, other);
        }
      }
    }
    const Result<void> result = metadata_->insert(opened(id), VirtBlock{block}, *data);
    if (!result) metadata_->give_back_data_block(*data);
    if (!result) return after(code_of(result), Errc::ok);
    if (must(metadata_->data_ref_count(*data)) != 1) return "count of a new block";
    model_.devices[id].mappings[block] = {data->value(), model_.time};
    return {};
  }

  std::string step(const Step& step) {
    const bool present = model_.devices.contains(step.id);
    const bool other_present = model_.devices.contains(step.other);
    switch (step.op) {
      case Op::create: {
        const Errc code = code_of(metadata_->create_thin(ThinId{step.id}));
        if (code == Errc::ok)
          model_.devices[step.id] = {.mappings = {},
                                     .transaction_id = model_.transaction_id,
                                     .creation_time = model_.time,
                                     .snapshotted_time = model_.time};
        return after(code, present ? Errc::exists : Errc::ok);
      }
      case Op::snap: {
        const Errc expected = present ? Errc::exists : !other_present ? Errc::not_found : Errc::ok;
        const Errc code = code_of(metadata_->create_snap(ThinId{step.id}, ThinId{step.other}));
        if (code == Errc::ok) {
          ++model_.time;
          ModelDevice& origin = model_.devices[step.other];
          origin.snapshotted_time = model_.time;
          model_.devices[step.id] = {.mappings = origin.mappings,
                                     .transaction_id = model_.transaction_id,
                                     .creation_time = model_.time,
                                     .snapshotted_time = model_.time};
        }
        return after(code, expected);
      }
      case Op::remove_device: {
        const bool is_open = open_.contains(step.id);
        if (is_open) {
          if (code_of(metadata_->delete_device(ThinId{step.id})) != Errc::busy) return "not busy";
          close(step.id);
        }
        const Errc code = code_of(metadata_->delete_device(ThinId{step.id}));
        if (code == Errc::ok) model_.devices.erase(step.id);
        return after(code, present ? Errc::ok : Errc::not_found);
      }
      case Op::write:
        return write(step.id, step.block);
      case Op::write_run:
        for (std::uint64_t i = 0; i < step.count / 4 + 1; ++i) {
          const std::string wrong = write(step.id, step.block + i);
          if (!wrong.empty()) return wrong;
        }
        return {};
      case Op::discard:
        return discard(step);
      case Op::commit:
        return commit();
      case Op::abort:
        return abort();
      case Op::reserve: {
        const Result<void> result = metadata_->reserve_metadata_snapshot();
        if (!result) return after(code_of(result), model_.held ? Errc::busy : Errc::ok);
        if (model_.held) return "two metadata snapshots";
        committed_ = model_;
        model_.held = model_.devices;
        return {};
      }
      case Op::release: {
        const Errc code = code_of(metadata_->release_metadata_snapshot());
        const Errc expected = model_.held ? Errc::ok : Errc::invalid;
        if (code == Errc::ok) model_.held.reset();
        return after(code, expected);
      }
      case Op::transaction_id: {
        const Errc code =
            code_of(metadata_->set_transaction_id(step.block % 3, model_.transaction_id + 1));
        const bool right = step.block % 3 == model_.transaction_id;
        if (code == Errc::ok) ++model_.transaction_id;
        return after(code, right ? Errc::ok : Errc::invalid);
      }
      case Op::grow: {
        const std::uint64_t size = model_.data_blocks + step.count % 7;
        const Errc code = code_of(metadata_->resize_data(size));
        if (code == Errc::ok) model_.data_blocks = size;
        return after(code, Errc::ok);
      }
      case Op::query:
        return query(step);
      case Op::reopen: {
        close_all();
        const Errc code = code_of(metadata_->commit());
        if (code != Errc::ok) return after(code, Errc::ok);
        committed_ = model_;
        must(metadata_->close());
        metadata_.reset();
        metadata_ = must(Metadata::open(device_, options_));
        return judge();
      }
    }
    return {};
  }

  std::string discard(const Step& step) {
    if (!model_.devices.contains(step.id)) return {};
    auto& mappings = model_.devices[step.id].mappings;
    const auto begin = mappings.lower_bound(step.block);
    const auto end = mappings.lower_bound(step.block + step.count);
    const auto expected = static_cast<std::uint64_t>(std::distance(begin, end));
    const Result<std::uint64_t> removed = metadata_->remove_range(
        opened(step.id), VirtBlock{step.block}, VirtBlock{step.block + step.count});
    if (!removed) return after(code_of(removed), Errc::ok);
    mappings.erase(begin, end);
    return *removed == expected ? "" : "number removed";
  }

  static constexpr std::uint64_t kQueryEnd = 105;
  static std::optional<MappedRange> first_run(const ModelDevice& device, std::uint64_t begin) {
    std::optional<MappedRange> run;
    for (auto at = device.mappings.lower_bound(begin);
         at != device.mappings.end() && at->first < kQueryEnd; ++at) {
      const VirtBlock block{at->first};
      const DataBlock data{at->second.data};
      const bool shared = at->second.time < device.snapshotted_time;
      if (!run) {
        run = MappedRange{block, block + 1, data, shared};
      } else if (run->end == block && run->shared == shared &&
                 run->data_begin + (run->end - run->begin) == data) {
        run->end = block + 1;
      } else {
        break;
      }
    }
    return run;
  }

  std::string query(const Step& step) {
    if (!model_.devices.contains(step.id)) {
      return code_of(metadata_->open_device(ThinId{step.id})) == Errc::not_found ? "" : "opened";
    }
    OpenThin& device = opened(step.id);
    const ModelDevice& model = model_.devices[step.id];
    const auto shared = [&](const ModelMapping& m) { return m.time < model.snapshotted_time; };
    const auto at = model.mappings.find(step.block);
    std::optional<Mapping> expected;
    if (at != model.mappings.end())
      expected = Mapping{DataBlock{at->second.data}, shared(at->second)};
    if (must(metadata_->lookup(device, VirtBlock{step.block})) != expected) return "lookup";
    const auto cached = metadata_->lookup_cached(device, VirtBlock{step.block});
    if (cached && *cached != expected) return "lookup_cached";
    if (!cached && code_of(cached) != Errc::would_block) return "lookup_cached: error";

    std::uint64_t begin = step.block / 2;
    for (;;) {   // all runs from there on
      const std::optional<MappedRange> run = first_run(model, begin);
      if (must(metadata_->find_mapped_range(device, VirtBlock{begin}, VirtBlock{kQueryEnd})) != run)
        return "find_mapped_range";
      if (!run) break;
      begin = run->end.value();
    }
    if (must(metadata_->mapped_count(device)) != model.mappings.size()) return "mapped_count";
    const auto highest = must(metadata_->highest_mapped(device));
    if (highest.has_value() == model.mappings.empty()) return "highest_mapped: none?";
    if (highest && highest->value() != model.mappings.rbegin()->first) return "highest_mapped";
    return {};
  }

  sim::SimDevice& device_;
  MetadataOptions options_;
  std::unique_ptr<Metadata> metadata_;
  std::map<std::uint32_t, OpenThin*> open_;
  Model model_;
  Model committed_;
};

std::string run_history(const std::vector<Step>& steps, const MetadataOptions& options,
                        std::uint64_t metadata_blocks) {
  std::string wrong;
  in_tank({.blocks = metadata_blocks}, [&](sim::SimDevice& device) {
    History history{device, options};
    wrong = history.run(steps);
  });
  return wrong;
}

RC_GTEST_PROP(MetadataProperty, SmallFanOutMatchesTheModel, ()) {
  const auto history = *rc::gen::resize(250, steps());
  const auto fan_out = *rc::gen::element<std::uint32_t>(6, 9);
  const std::string wrong = run_history(history, small_options(fan_out), 1024);
  if (!wrong.empty()) RC_FAIL(wrong);
}

RC_GTEST_PROP(MetadataProperty, LinuxFanOutMatchesTheModel, ()) {
  const auto history = *rc::gen::resize(100, steps());
  const std::string wrong = run_history(history, small_options(), 256);
  if (!wrong.empty()) RC_FAIL(wrong);
}

RC_GTEST_PROP(MetadataProperty, RunningOutOfMetadataLosesOnlyTheOpenTransaction, ()) {
  const auto history = *rc::gen::resize(150, steps());
  const std::string wrong = run_history(history, small_options(6), 48);
  if (!wrong.empty()) RC_FAIL(wrong);
}

RC_GTEST_PROP(MetadataProperty, TinyCacheMatchesTheModel, ()) {
  const auto history = *rc::gen::resize(100, steps());
  MetadataOptions options = small_options(6);
  options.cache_blocks = 10;
  const std::string wrong = run_history(history, options, 1024);
  if (!wrong.empty()) RC_FAIL(wrong);
}

}   // namespace
}   // namespace engine::thin

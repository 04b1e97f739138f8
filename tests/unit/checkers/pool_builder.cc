#include "tests/unit/checkers/pool_builder.h"

#include <algorithm>

namespace checkers::image::test {

PoolBuilder::PoolBuilder(std::uint64_t metadata_blocks, std::uint64_t data_blocks)
    : image_{metadata_blocks}, metadata_refs_(metadata_blocks), data_refs_(data_blocks) {
  for (std::uint64_t block = 0; block < kFirst; ++block)
    metadata_refs_[block] = 1;
}

void PoolBuilder::header(std::uint64_t block, std::uint32_t flags, std::uint64_t nr,
                         std::uint32_t max, std::uint32_t value_size) {
  image_.put32(block, 4, flags).put64(block, 8, block);
  image_.put32(block, 16, static_cast<std::uint32_t>(nr)).put32(block, 20, max);
  image_.put32(block, 24, value_size);
}

std::uint64_t PoolBuilder::leaf(const std::vector<Mapping>& mappings, std::uint32_t max) {
  const std::uint64_t block = allocate();
  header(block, 2, mappings.size(), max, 8);
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    const Mapping& mapping = mappings[i];
    image_.put64(block, 32 + 8 * i, mapping.virtual_block);
    image_.put64(block, 32 + std::size_t{8} * max + 8 * i, mapping.data_block << 24 | mapping.time);
    if (mapping.data_block < data_refs_.size()) ++data_refs_[mapping.data_block];
  }
  image_.seal(block, kNodeSalt);
  return block;
}

void PoolBuilder::inner_at(std::uint64_t block, const std::vector<Child>& children,
                           std::uint32_t max) {
  header(block, 1, children.size(), max, 8);
  for (std::size_t i = 0; i < children.size(); ++i) {
    image_.put64(block, 32 + 8 * i, children[i].key);
    image_.put64(block, 32 + std::size_t{8} * max + 8 * i, children[i].block);
    ++metadata_refs_[children[i].block];
  }
  image_.seal(block, kNodeSalt);
}

std::uint64_t PoolBuilder::inner(const std::vector<Child>& children, std::uint32_t max) {
  const std::uint64_t block = allocate();
  inner_at(block, children, max);
  return block;
}

std::uint64_t PoolBuilder::tree(const std::vector<Mapping>& mappings, std::uint32_t max,
                                std::uint32_t fill) {
  std::vector<Child> level;
  for (std::size_t at = 0; at < mappings.size(); at += fill) {
    const auto first = mappings.begin() + static_cast<std::ptrdiff_t>(at);
    const auto count = std::min<std::size_t>(fill, mappings.size() - at);
    level.push_back(
        {first->virtual_block, leaf({first, first + static_cast<std::ptrdiff_t>(count)}, max)});
  }
  while (level.size() > 1) {
    std::vector<Child> above;
    for (std::size_t at = 0; at < level.size(); at += fill) {
      const auto first = level.begin() + static_cast<std::ptrdiff_t>(at);
      const auto count = std::min<std::size_t>(fill, level.size() - at);
      above.push_back(
          {first->key, inner({first, first + static_cast<std::ptrdiff_t>(count)}, max)});
    }
    level = std::move(above);
  }
  return level.empty() ? leaf({}, max) : level.front().block;
}

std::pair<std::uint64_t, std::uint64_t> PoolBuilder::devices(
    const std::vector<DeviceRecord>& records) {
  const std::uint64_t details = allocate();
  const std::uint64_t top = allocate();
  header(details, 2, records.size(), 126, 24);
  header(top, 2, records.size(), 252, 8);
  for (std::size_t i = 0; i < records.size(); ++i) {
    const DeviceRecord& record = records[i];
    image_.put64(details, 32 + 8 * i, record.id).put64(top, 32 + 8 * i, record.id);
    image_.put64(top, 2048 + 8 * i, record.root);
    const std::size_t value = 1040 + 24 * i;
    image_.put64(details, value, record.mapped).put64(details, value + 8, record.transaction);
    image_.put32(details, value + 16, record.created);
    image_.put32(details, value + 20, record.snapshotted);
    ++metadata_refs_[record.root];
  }
  image_.seal(details, kNodeSalt).seal(top, kNodeSalt);
  return {details, top};
}

void PoolBuilder::superblock(std::uint64_t block, std::pair<std::uint64_t, std::uint64_t> roots,
                             std::uint32_t time) {
  image_.put64(block, 8, block).put64(block, 32, 27022010).put32(block, 40, 2);
  image_.put32(block, 44, time).put64(block, 320, roots.second).put64(block, 328, roots.first);
  image_.put32(block, 336, 128).put32(block, 340, 8).put64(block, 344, image_.nr_blocks());
  ++metadata_refs_[roots.first];
  ++metadata_refs_[roots.second];
}

std::uint64_t PoolBuilder::hold(std::pair<std::uint64_t, std::uint64_t> roots, std::uint32_t time) {
  held_ = allocate();
  superblock(held_, roots, time);
  image_.seal(held_, kSuperSalt);
  ++metadata_refs_[held_];
  return held_;
}

void PoolBuilder::space_map(std::uint64_t bitmap, std::uint64_t overflow,
                            const std::vector<std::uint64_t>& refs) {
  image_.put64(bitmap, 8, bitmap).seal(bitmap, kBitmapSalt);
  std::uint32_t more = 0;
  for (std::size_t i = 0; i < refs.size(); ++i) {
    if (refs[i] == 0) continue;
    image_.set_pair(bitmap, i, static_cast<unsigned>(std::min<std::uint64_t>(refs[i], 3)));
    if (refs[i] < 3) continue;
    image_.put64(overflow, 32 + std::size_t{8} * more, i);
    image_.put32(overflow, 2720 + std::size_t{4} * more, static_cast<std::uint32_t>(refs[i]));
    ++more;
  }
  header(overflow, 2, more, 336, 4);
  image_.seal(overflow, kNodeSalt);
}

TestImage PoolBuilder::finish(std::pair<std::uint64_t, std::uint64_t> roots) {
  superblock(0, roots, time_);
  const auto used = [](const std::vector<std::uint64_t>& refs) {
    return static_cast<std::uint64_t>(
        std::count_if(refs.begin(), refs.end(), [](std::uint64_t count) { return count > 0; }));
  };
  const std::uint64_t metadata = used(metadata_refs_);
  const std::uint64_t data = used(data_refs_);
  space_map(kMetadataBitmap, kMetadataOverflow, metadata_refs_);
  space_map(kDataBitmap, kDataOverflow, data_refs_);
  image_.put64(kIndex, 8, kIndex).put64(kIndex, 16, kMetadataBitmap);
  image_.put32(kIndex, 24, static_cast<std::uint32_t>(16320 - metadata)).seal(kIndex, kIndexSalt);
  header(kDataIndex, 2, 1, 168, 16);
  image_.put64(kDataIndex, 1376, kDataBitmap);
  image_.put32(kDataIndex, 1384, static_cast<std::uint32_t>(16320 - data));
  image_.seal(kDataIndex, kNodeSalt);
  image_.put64(0, 56, held_);
  image_.put64(0, 64, data_refs_.size()).put64(0, 72, data);
  image_.put64(0, 80, kDataIndex).put64(0, 88, kDataOverflow);
  image_.put64(0, 192, image_.nr_blocks()).put64(0, 200, metadata);
  image_.put64(0, 208, kIndex).put64(0, 216, kMetadataOverflow);
  image_.seal(0, kSuperSalt);
  return image_;
}

}   // namespace checkers::image::test

// What `wavetankd serve` was asked to do: from flags, or from a TOML file with the same names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace CLI {
class App;
}

namespace wavetankd {

// The pool among the mapped devices; no other of them is called that.
inline constexpr std::string_view kPoolName = "pool";

struct ThinSpec {
  std::uint32_t id = 0;
  std::uint64_t size_bytes = 0;
  std::string name;   // of the export; "thin<ID>" when none was given
};

struct CacheSpec {
  std::string name;       // of the device and its export
  std::string metadata;   // files or block devices
  std::string fast;
  std::string origin;   // or the name of a thin
  std::uint64_t block_size_bytes = 64 << 10;
  std::string mode = "writeback";
  std::string policy = "smq";
  bool metadata2 = true;
};

struct RawSpec {
  std::string path;
  std::string name;
};

struct ServeOptions {
  std::string metadata;
  std::string data;
  std::uint64_t block_size_bytes = 64 << 10;
  std::uint64_t low_water_blocks = 0;
  std::vector<std::string> features;   // of the thin-pool table line
  std::vector<ThinSpec> thins;
  std::vector<CacheSpec> caches;
  std::vector<RawSpec> raws;
  std::vector<std::string> messages;   // to the pool, in order, before the thins are activated
  std::string listen;                  // of the NBD socket
  std::string control;                 // path of the control socket; empty: none
  std::uint32_t reactors = 1;
  std::optional<std::uint64_t> spin_us;   // without: a little, and only while clients are busy

  // What a cache stands on, or a pool, is not exported by itself.
  [[nodiscard]] const CacheSpec* data_cache() const;            // that the pool has its data on
  [[nodiscard]] bool on_thin(const CacheSpec& cache) const;     // its origin is one
  [[nodiscard]] bool under_cache(const ThinSpec& thin) const;   // it is an origin
};

// As the user wrote them; read_serve_options() makes sense of them.
struct ServeFlags {
  std::string config;
  std::string metadata;
  std::string data;
  std::string block_size;
  std::optional<std::uint64_t> low_water;
  std::vector<std::string> features;
  std::vector<std::string> thins;
  std::vector<std::string> caches;
  std::vector<std::string> raws;
  std::vector<std::string> messages;
  std::string listen;
  std::string control;
  std::optional<std::uint32_t> reactors;
  std::optional<std::uint64_t> spin_us;
};

void add_serve_flags(CLI::App& command, ServeFlags& flags);
// Flags win over the file. The error is one line.
[[nodiscard]] tl::expected<ServeOptions, std::string> read_serve_options(const ServeFlags& flags);

}   // namespace wavetankd

// What `wavetankd serve` was asked to do: from flags, or from a TOML file with the same names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace CLI {
class App;
}

namespace wavetankd {

struct ThinSpec {
  std::uint32_t id = 0;
  std::uint64_t size_bytes = 0;
  std::string name;   // of the export; "thin<ID>" when none was given
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
  std::vector<RawSpec> raws;
  std::vector<std::string> messages;   // to the pool, in order, before the thins are activated
  std::string listen;                  // of the NBD socket
  std::string control;                 // path of the control socket; empty: none
  std::uint32_t reactors = 1;
  std::uint64_t spin_us = 0;
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

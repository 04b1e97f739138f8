// Mutants as the program sees them: the patches beside the scenarios, what their headers say, and
// the tank built around each.
//
// A header is the text before the first diff, of lines "Key: value" (a line that begins with blanks
// continues the one before):
//   Id:           what --mutant takes, and how the file's name begins
//   Alias:        another name that --mutant takes
//   Title:        what is wrong
//   Undoes:       the fix, by title and hash
//   Consequence:  what a user loses
//   Noticed-by:   checkers
//   Scenario:     the aimed one; where there is none, a general one that finds it
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace program {

struct Mutant {
  std::string name;   // file name without .patch: S3-passdown-race
  std::string id;
  std::string alias;
  std::string title;
  std::string undoes;
  std::string consequence;
  std::string noticed_by;
  std::string scenario;
  std::string general;   // the scenarios aimed at nothing that drive what is patched
  std::filesystem::path patch;
};

// Of the source tree this program was built from, by name.
[[nodiscard]] std::vector<Mutant> list_mutants();
// By id, by name, or by the path of anyone's own patch. The error is one line.
[[nodiscard]] tl::expected<Mutant, std::string> find_mutant(std::string_view wanted);
// The program around that mutant, built if it is missing or older than its patch or this program.
[[nodiscard]] tl::expected<std::filesystem::path, std::string> built_mutant(const Mutant& mutant);

}   // namespace program

// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/job_file.hpp"

#include <unistd.h>

#include "libvolt/base/text.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::run {
namespace {

constexpr std::uint64_t max_job_bytes = 64 * 1024;
/// Of standard input: in JSON, with all defaults, a job is longer than as a person wrote it.
constexpr std::uint64_t max_piped_bytes = std::uint64_t{1} << 20;

}  // namespace

JobFile load_job(const std::string& path, std::stop_token stop,
                 const std::function<void()>& command) {
  JobFile file;
  if (path == "-") {
    file.text = host::read_all(STDIN_FILENO, max_piped_bytes, "standard input", std::move(stop));
    file.origin = "standard input";
    file.folder = ".";
    file.is_json = trim(file.text).starts_with('{');
  } else {
    file.path = path;
    if (host::is_folder(file.path)) {
      throw Error(Exit::usage, printable(path) + " is a folder, not a job file",
                  "give the .toml file in it");
    }
    file.text = host::read_file(path, max_job_bytes);
    file.origin = printable(path);
    file.folder = file.path.has_parent_path() ? file.path.parent_path() : host::Path(".");
    file.is_json = file.path.extension() == ".json";
  }
  const doc::Source source{file.origin, Exit::usage};
  const std::string stem = path == "-" ? "job" : file.path.stem().string();
  doc::Value value = file.is_json ? doc::parse_json(file.text, file.origin)
                                  : doc::parse_toml(file.text, file.origin);
  file.sweep = schema::Sweep::take(value, source, stem);
  const auto* workload = value.find("workload");
  const auto* word = workload == nullptr ? nullptr : workload->get_if<std::string>();
  if (command && !file.sweep && word != nullptr && *word == "command") command();
  file.job = schema::parse_job(value, source, stem);
  return file;
}

}  // namespace volt::run

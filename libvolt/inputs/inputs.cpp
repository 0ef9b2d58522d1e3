// SPDX-License-Identifier: Apache-2.0
#include "libvolt/inputs/inputs.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>

#include "libvolt/base/error.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/net/url.hpp"
#include "libvolt/schema/receipt.hpp"

namespace volt::inputs {
namespace {

constexpr std::uint64_t max_download_bytes = std::uint64_t{1} << 40;
/// A folder given by --inputs is searched by trying its files; more would be a mistake.
constexpr std::size_t max_candidates = 10'000;

using host::shown;

Found opened(std::string_view name, const host::Path& path, host::Fd fd, Sink& sink,
             const std::stop_token& stop) {
  Found found;
  found.name = name;
  std::error_code ignored;
  found.path = std::filesystem::absolute(path, ignored);
  found.stamp = host::stamp_of(fd.get());
  found.sha256 = digest_of(fd.get(), shown(path), sink, stop);
  found.fd = std::move(fd);
  return found;
}

host::Path cached_path(const Places& places, const Digest& digest) {
  const auto hex = digest.hex();
  return places.cache / "sha256" / hex.substr(0, 2) / hex;
}

/// Downloads into the cache and returns the digest that it turned out to have. With `wanted` only a
/// file of that digest is kept.
Digest fetch(const std::string& url, const std::optional<Digest>& wanted, std::uint64_t max_bytes,
             const Places& places, Sink& sink, const std::stop_token& stop) {
  host::make_folder(places.cache);
  const host::Path part = places.cache / ("part" + std::to_string(::getpid()));
  struct Remover {
    const host::Path& path;
    ~Remover() { ::unlink(path.c_str()); }
  } remover{part};
  host::Fd fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) throw_system(errno, "cannot create " + shown(part));
  crypto::Sha256 hash;
  std::uint64_t offset = 0;
  net::Request request;
  request.url = url;
  request.max_bytes = max_bytes;
  net::download(
      *places.http, request,
      [&](ByteView bytes) {
        hash.update(bytes);
        host::write_at(fd.get(), offset, bytes);
        offset += bytes.size();
      },
      [&] {
        hash.finish();
        offset = 0;
        if (::ftruncate(fd.get(), 0) != 0) throw_system(errno, "cannot truncate " + shown(part));
      },
      sink, stop);
  const Digest digest = hash.finish();
  if (wanted && digest != *wanted) return digest;
  const auto path = cached_path(places, digest);
  host::make_folder(path.parent_path());
  host::rename_into(part, path);
  return digest;
}

Found find_url(std::string_view name, const schema::Input& input, const schema::Url& url,
               const Places& places, bool pinning, Sink& sink, const std::stop_token& stop) {
  if (places.http == nullptr) throw Error(Exit::network, "there is no network here");
  if (input.sha256) {
    const auto path = cached_path(places, *input.sha256);
    if (host::exists(path)) {
      auto found = opened(name, path, host::open_file(path), sink, stop);
      if (found.sha256 == *input.sha256) return found;
      host::remove_tree(path);  // damaged on the disk: fetch it again
    }
  }
  const Digest digest = fetch(url.url, input.sha256, max_download_bytes, places, sink, stop);
  if (!input.sha256 && !pinning) {
    throw Error(Exit::usage, "input " + std::string(name) + " is a url without a digest",
                "if what it has now is what you mean, write: " + std::string(name) +
                    " = { url = \"" + printable(url.url, 2000) + "\", sha256 = \"" + digest.hex() +
                    "\" }");
  }
  if (input.sha256 && digest != *input.sha256) {
    throw Error(Exit::verification_failed, printable(url.url) + " has the digest " + digest.hex() +
                                               ", not the " + input.sha256->hex() +
                                               " that the job pins");
  }
  const auto path = cached_path(places, digest);
  return opened(name, path, host::open_file(path), sink, stop);
}

/// The earlier run's receipt must be genuine and name the file with the digest that it has.
Found find_run(std::string_view name, const host::Path& folder, std::string_view file, host::Fd fd,
               Sink& sink, const std::stop_token& stop) {
  const auto receipt_path = folder / "receipt.json";
  const auto receipt = schema::open_receipt(
      host::read_file(receipt_path, schema::max_document_bytes), shown(receipt_path));
  const auto* output = receipt.receipt.output(file);
  if (output == nullptr) {
    throw Error(Exit::verification_failed,
                "the receipt of " + shown(folder) + " knows no output " + printable(file));
  }
  auto found = opened(name, folder / file, std::move(fd), sink, stop);
  if (found.sha256 != output->sha256) {
    throw Error(Exit::verification_failed,
                shown(folder / file) + " is not the file that its receipt names",
                "it was changed after the run: run that job again");
  }
  found.receipt = receipt.digest();
  return found;
}

[[noreturn]] void refuse_unbound(std::string_view name) {
  throw Error(Exit::usage, "the job does not say where input " + std::string(name) + " is",
              "bind it: --input " + std::string(name) + "=PATH");
}

/// One file, of any kind of input but a folder.
Found find_file(std::string_view name, const schema::Input& input, const Places& places,
                bool pinning, Sink& sink, const std::stop_token& stop) {
  const auto* run = std::get_if<schema::RunOutput>(&input.from);
  if (const auto bound = places.bindings.find(name); bound != places.bindings.end()) {
    const host::Path path = bound->second;
    if (run != nullptr && host::is_folder(path)) {
      return find_run(name, path, run->file, host::open_file(path / run->file), sink, stop);
    }
    return opened(name, path, host::open_file(path), sink, stop);
  }
  if (run != nullptr) {
    return find_run(name, places.job_folder / run->folder, run->file,
                    host::open_file(path_below(places.job_folder, run->folder + "/" + run->file)),
                    sink, stop);
  }
  if (const auto* url = std::get_if<schema::Url>(&input.from)) {
    return find_url(name, input, *url, places, pinning, sink, stop);
  }
  const auto& file = std::get<schema::File>(input.from);
  if (file.path.empty()) {
    if (input.sha256) {
      auto found = find_by_digest(name, *input.sha256, {}, places, nullptr, sink, stop);
      if (found) return std::move(*found);
    }
    refuse_unbound(name);
  }
  const auto path = path_below(places.job_folder, file.path);
  return opened(name, path, host::open_file(path), sink, stop);
}

/// The folder that an input of a command names, if it names one.
std::optional<host::Path> folder_of(std::string_view name, const schema::Input& input,
                                    const Places& places) {
  const auto* file = std::get_if<schema::File>(&input.from);
  if (file == nullptr) return std::nullopt;
  host::Path path;
  if (const auto bound = places.bindings.find(name); bound != places.bindings.end()) {
    path = bound->second;
  } else if (!file->path.empty()) {
    path = path_below(places.job_folder, file->path);
  }
  return !path.empty() && host::is_folder(path) ? std::optional(path) : std::nullopt;
}

/// What version control, Python and volt itself keep beside the files that a person means.
bool is_litter(const std::string& name) {
  return name == ".git" || name == "__pycache__" || name == ".volt";
}

/// The files below a folder, by their names relative to it.
std::map<std::string, host::Path> files_below(const host::Path& folder) {
  std::map<std::string, host::Path> files;
  std::error_code error;
  using Walk = std::filesystem::recursive_directory_iterator;
  for (Walk entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const auto& path = entry->path();
    if (is_litter(path.filename().string())) {
      entry.disable_recursion_pending();
      continue;
    }
    const auto status = entry->symlink_status(error);
    if (status.type() == std::filesystem::file_type::directory) continue;
    if (status.type() != std::filesystem::file_type::regular) {
      throw Error(Exit::usage, shown(path) + " is a link or no regular file",
                  "a folder as an input holds regular files only");
    }
    const auto name = path.lexically_relative(folder).string();
    if (printable(name, 4096) != name) {
      throw Error(Exit::usage, shown(path) + " has a name that is not printable UTF-8");
    }
    files.emplace(name, path);
    if (files.size() > schema::max_entries) {
      throw Error(Exit::usage, shown(folder) + " holds more than 1024 files",
                  "pack them into one archive");
    }
  }
  if (error) throw_system(error.value(), "cannot list " + shown(folder));
  if (files.empty()) throw Error(Exit::usage, shown(folder) + " holds no file");
  return files;
}

constexpr const char* adapter_hint =
    "an adapter is a folder with adapter_config.json and adapter_model.safetensors";
constexpr const char* model_hint =
    "a model is the folder that Hugging Face keeps it in, with its config.json";

bool is_adapter(const schema::Job& job, std::string_view name) {
  return job.is_generate() && name == "adapter";
}

/// Of a folder of a model or an adapter what is read, whatever else lies there: it may be a run's.
std::map<std::string, host::Path> read_below(const schema::Job& job, std::string_view name,
                                             const host::Path& folder) {
  std::map<std::string, host::Path> files;
  std::error_code error;
  using Entries = std::filesystem::directory_iterator;
  for (Entries entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const auto file = entry->path().filename().string();
    if (job.reads(name, file)) files.emplace(file, entry->path());
    if (files.size() > schema::max_entries) {
      throw Error(Exit::usage, shown(folder) + " holds more than 1024 files of weights");
    }
  }
  if (error) throw_system(error.value(), "cannot list " + shown(folder));
  const auto need = [&](std::string_view file, const char* hint) {
    if (files.contains(std::string(file))) return;
    throw Error(Exit::not_found, shown(folder) + " has no " + std::string(file), hint);
  };
  if (is_adapter(job, name)) {
    for (const auto file : schema::adapter_files) need(file, adapter_hint);
  } else {
    need(name == "base" ? "config.json" : "tokenizer.json", model_hint);
  }
  return files;
}

/// That a path names what the job takes there: a file, or a folder.
void check_kind(const schema::Job& job, std::string_view name, const host::Path& path) {
  const bool folder = host::is_folder(path);
  if (folder && job.needs_folder(name)) read_below(job, name, path);
  if (folder && job.takes_folder(name)) return;
  host::open_file(path);
  if (job.needs_folder(name)) {
    throw Error(Exit::usage, shown(path) + " is no folder",
                is_adapter(job, name) ? adapter_hint : model_hint);
  }
}

void find_into(std::vector<Found>& found, const schema::Job& job, std::string_view name,
               const schema::Input& input, const Places& places, bool pinning, Sink& sink,
               const std::stop_token& stop) {
  const auto folder = job.takes_folder(name) ? folder_of(name, input, places) : std::nullopt;
  if (!folder) {
    found.push_back(find_file(name, input, places, pinning, sink, stop));
    check_kind(job, name, found.back().path);
    return;
  }
  const auto files = job.needs_folder(name) ? read_below(job, name, *folder) : files_below(*folder);
  const bool bound = places.bindings.contains(std::string(name));
  for (const auto& [below, path] : files) {
    // Hugging Face's cache is made of links. What a job names must lie below it all the same.
    if (!bound) {
      path_below(places.job_folder, std::get<schema::File>(input.from).path + "/" + below);
    }
    found.push_back(
        opened(std::string(name) + "/" + below, path, host::open_file(path), sink, stop));
  }
}

}  // namespace

void Found::check_unchanged() const {
  if (host::stamp_of(fd.get()) != stamp) {
    throw Error(Exit::conflict, shown(path) + " was changed while the job ran",
                "run it again once nothing else writes that file");
  }
}

Digest digest_of(int fd, std::string_view shown_name, Sink& sink, std::stop_token stop) {
  crypto::Sha256 hash;
  Bytes chunk(std::size_t{1} << 20);
  const auto total = host::stamp_of(fd).bytes;
  for (std::uint64_t offset = 0;;) {
    if (stop.stop_requested()) throw Error(Exit::interrupted, "interrupted");
    const auto count = host::read_at(fd, offset, chunk.data(), chunk.size());
    if (count == 0) return hash.finish();
    hash.update({chunk.data(), count});
    offset += count;
    sink.send(Progress{"hashing " + std::string(shown_name), offset, total, "bytes"});
  }
}

host::Path path_below(const host::Path& folder, std::string_view path) {
  std::error_code error;
  const auto root = std::filesystem::canonical(folder.empty() ? "." : folder, error);
  if (error) throw_system(error.value(), "cannot resolve " + shown(folder), {}, Exit::not_found);
  auto full = std::filesystem::canonical(root / path, error);
  if (error) {
    throw_system(error.value(), "cannot open " + printable(path),
                 "paths are relative to " + shown(root),
                 error.value() == ENOENT ? Exit::not_found : Exit::local_io);
  }
  const auto [end, unused] = std::mismatch(root.begin(), root.end(), full.begin(), full.end());
  if (end != root.end()) {
    throw Error(Exit::usage, printable(path) + " leads outside the job's folder",
                "bind files elsewhere by --input NAME=PATH");
  }
  return full;
}

namespace {

std::string unknown_hint(const schema::Job& job, const std::string& bound,
                         const std::vector<std::string_view>& names) {
  if (job.is_command()) return suggestion(bound, names);
  // A job says all that it takes: what it gives has to follow from it.
  if (job.is_generate() && (bound == "adapter" || bound == "prompts")) {
    return "write " + bound + " = {} into [generate]";
  }
  std::string list;
  for (const auto name : names) {
    list += (list.empty() ? "" : name == names.back() ? " and " : ", ") + std::string(name);
  }
  return (names.size() == 1 ? "its input is " : "its inputs are ") + list;
}

void refuse_unknown(const schema::Job& job, const Places& places) {
  const auto named = job.inputs();
  std::vector<std::string_view> names;
  for (const auto& entry : named) names.push_back(entry.first);
  for (const auto& binding : places.bindings) {
    const auto& bound = binding.first;
    const auto found = std::find_if(named.begin(), named.end(),
                                    [&](const auto& entry) { return entry.first == bound; });
    if (found == named.end()) {
      throw Error(Exit::usage, "the job has no input \"" + printable(bound) + "\"",
                  unknown_hint(job, bound, names));
    }
    if (found->second->seeded() != nullptr) {
      throw Error(Exit::usage, "input " + bound + " is made from a seed",
                  "leave out --input " + bound + ", or the seed");
    }
  }
}

std::vector<Found> find_all(const schema::Job& job, const Places& places, bool pinning, Sink& sink,
                            const std::stop_token& stop) {
  refuse_unknown(job, places);
  std::vector<Found> found;
  for (const auto& [name, input] : job.inputs()) {
    if (input->seeded() != nullptr) continue;
    during("finding input " + std::string(name), [&, name = name, input = input] {
      const auto first = found.size();
      find_into(found, job, name, *input, places, pinning, sink, stop);
      if (found.size() > schema::max_entries) {
        throw Error(Exit::usage, "the job has more than 1024 files as inputs",
                    "pack them into one archive");
      }
      const auto digest = input->sha256 ? pin_of(name, found) : Digest();
      if (input->sha256 && digest != *input->sha256) {
        const auto what = first < found.size() && found[first].name == name
                              ? shown(found[first].path)
                              : "the folder " + std::string(name);
        throw Error(Exit::verification_failed,
                    what + " has the digest " + digest.hex() + ", not the " + input->sha256->hex() +
                        " that the job pins",
                    "get the right file, or write the new digest with gpu-run --lock");
      }
    });
  }
  return found;
}

}  // namespace

std::vector<Found> find(const schema::Job& job, const Places& places, Sink& sink,
                        std::stop_token stop) {
  return find_all(job, places, false, sink, stop);
}

std::vector<Found> find_to_pin(schema::Job job, const Places& places, Sink& sink,
                               std::stop_token stop) {
  for (auto& [name, input] : job.inputs()) input->sha256.reset();
  return find_all(job, places, true, sink, stop);
}

void check_present(const schema::Job& job, const Places& places) {
  refuse_unknown(job, places);
  for (const auto& [name, input] : job.inputs()) {
    during("finding input " + std::string(name), [&, name = name, input = input] {
      const auto* file = std::get_if<schema::File>(&input->from);
      if (const auto bound = places.bindings.find(name); bound != places.bindings.end()) {
        check_kind(job, name, bound->second);
      } else if (file != nullptr && !file->path.empty()) {
        const auto path = path_below(places.job_folder, file->path);
        check_kind(job, name, path);
      } else if (file != nullptr && !input->sha256) {
        refuse_unbound(name);
      } else if (const auto* url = std::get_if<schema::Url>(&input->from)) {
        net::check_url(url->url);
        if (!input->sha256) {
          throw Error(Exit::usage, "input " + std::string(name) + " is a url without a digest",
                      "gpu-run --lock writes it");
        }
      }
    });
  }
}

Digest pin_of(std::string_view name, const std::vector<Found>& found) {
  std::map<std::string, Digest> files;
  const auto below = std::string(name) + "/";
  for (const auto& file : found) {
    if (file.name == name) return file.sha256;
    if (file.name.starts_with(below)) files.emplace(file.name.substr(below.size()), file.sha256);
  }
  return crypto::sha256(as_bytes(schema::manifest(files)));
}

std::optional<Found> find_by_digest(std::string_view name, const Digest& sha256,
                                    std::optional<std::uint64_t> bytes, const Places& places,
                                    const schema::Url* url, Sink& sink, std::stop_token stop) {
  const auto attempt = [&](const host::Path& path) -> std::optional<Found> {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
    // The length first: most files are ruled out without reading them.
    if (bytes && std::filesystem::file_size(path, error) != *bytes) return std::nullopt;
    try {
      auto found = opened(name, path, host::open_file(path), sink, stop);
      if (found.sha256 == sha256) return found;
    } catch (const Error& unreadable) {
      if (unreadable.code() == Exit::interrupted) throw;
    }
    return std::nullopt;
  };
  for (const auto& candidate : places.candidates) {
    std::error_code error;
    if (!std::filesystem::is_directory(candidate, error)) {
      if (auto found = attempt(candidate)) return found;
      continue;
    }
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(candidate, error)) {
      if (++count > max_candidates) break;
      if (auto found = attempt(entry.path())) return found;
    }
  }
  if (auto found = attempt(cached_path(places, sha256))) return found;
  if (url != nullptr && places.http != nullptr) {
    try {
      const auto most = bytes.value_or(max_download_bytes);
      if (fetch(url->url, sha256, most, places, sink, stop) == sha256) {
        return attempt(cached_path(places, sha256));
      }
    } catch (const Error& unreachable) {
      if (unreachable.code() == Exit::interrupted || unreachable.code() == Exit::local_io) throw;
      sink.send(Log{Log::Level::warning, "input " + std::string(name) + ": " + unreachable.text()});
    }
  }
  return std::nullopt;
}

}  // namespace volt::inputs

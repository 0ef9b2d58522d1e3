// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/folder.hpp"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/sandbox/user.hpp"
#include "libvolt/schema/job.hpp"
#include "libvolt/tensor/tensor.hpp"

namespace volt::run {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

constexpr std::string_view journal_schema = "volt.journal/1";
const Source source{"journal", Exit::failure};

using host::shown;

/// What note() and noted_file() write beside run.json.
constexpr std::array<std::string_view, 3> noted_names{"metrics.jsonl", "loss.svg", event_file_name};

Value::Object identity_members(const Identity& identity) {
  Value::Array inputs;
  for (const auto& digest : identity.inputs) inputs.emplace_back(digest.hex());
  return {{"job", identity.job.hex()}, {"inputs", std::move(inputs)}};
}

/// The line's tag: an HMAC over the tag before it and the text, so that lines can be neither made
/// nor moved without the secret.
Digest tag_of(const Digest& secret, const Digest& before, std::string_view text) {
  Bytes message(before.bytes.begin(), before.bytes.end());
  message.insert(message.end(), text.begin(), text.end());
  return crypto::hmac(secret.bytes, message);
}

/// A journal as it was left; from the first line on that is torn, or not ours, as if never written.
struct Journal {
  bool found = false;
  Identity identity;
  std::uint64_t attempt = 1, elapsed_ns = 0;
  std::string started;
  std::optional<std::pair<std::uint64_t, std::uint64_t>> extent;
  std::vector<Digest> leaves;
  bool all_pages = false;
  std::vector<std::string> outputs;
};

Digest digest_in(const Value& value) {
  const auto* text = value.get_if<std::string>();
  const auto digest = text == nullptr ? std::nullopt : Digest::from_hex(*text);
  if (!digest) throw Error(Exit::failure, "no digest");
  return *digest;
}

void take_line(Journal& journal, std::string_view line) {
  const Value value = doc::parse_json(line, "journal", {std::size_t{1} << 20, 8}, Exit::failure);
  Fields fields(value, source);
  if (!journal.found) {
    if (fields.string("schema") != journal_schema) throw Error(Exit::failure, "another schema");
    journal.identity.job = fields.digest("job");
    for (const auto& input : fields.array("inputs")) {
      journal.identity.inputs.push_back(digest_in(input));
    }
    journal.attempt = static_cast<std::uint64_t>(fields.integer("attempt", 1, schema::max_integer));
    journal.started = fields.string("started");
    journal.found = true;
  } else if (fields.has("outputs")) {
    for (const auto& name : fields.array("outputs")) {
      if (const auto* text = name.get_if<std::string>()) journal.outputs.push_back(*text);
    }
  } else if (fields.has("offset")) {
    journal.extent = {static_cast<std::uint64_t>(fields.integer("offset", 0, INT64_MAX)),
                      static_cast<std::uint64_t>(fields.integer("bytes", 0, INT64_MAX))};
  } else if (fields.has("all_pages")) {
    journal.all_pages = fields.boolean("all_pages");
  } else {
    for (const auto& page : fields.array("pages")) journal.leaves.push_back(digest_in(page));
    journal.elapsed_ns = static_cast<std::uint64_t>(fields.integer("elapsed_ns", 0, INT64_MAX));
  }
}

Journal read_journal(const host::Path& path, const Digest& secret) {
  Journal journal;
  if (!host::exists(path)) return journal;
  const std::string text = host::read_file(path, std::uint64_t{4} << 30);
  Digest chain;
  for (const auto line : split(text, '\n')) {
    constexpr std::size_t tag_size = 65;  // a space and 64 digits
    if (line.size() < tag_size) break;
    const auto document = line.substr(0, line.size() - tag_size);
    chain = tag_of(secret, chain, document);
    if (line.substr(document.size()) != " " + chain.hex()) break;
    try {
      take_line(journal, document);
    } catch (const Error&) {
      break;
    }
  }
  return journal;
}

const std::string end_line = R"({"all_pages":true})";

std::string pages_line(const std::vector<Digest>& leaves, std::uint64_t elapsed_ns) {
  Value::Array pages;
  for (const auto& leaf : leaves) pages.emplace_back(leaf.hex());
  return doc::to_canonical_json(
      Value::Object{{"pages", std::move(pages)}, {"elapsed_ns", elapsed_ns}});
}

std::string extent_line(const std::pair<std::uint64_t, std::uint64_t>& extent) {
  return doc::to_canonical_json(Value::Object{{"offset", extent.first}, {"bytes", extent.second}});
}

}  // namespace

std::size_t matching_pages(int fd, std::uint64_t offset, std::uint64_t bytes,
                           const std::vector<Digest>& leaves) {
  Bytes page(tensor::page_bytes);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    const std::uint64_t begin = i * tensor::page_bytes;
    if (begin >= bytes) return i;
    const auto size = std::min(tensor::page_bytes, bytes - begin);
    if (host::read_at(fd, offset + begin, page.data(), size) != size) return i;
    if (crypto::leaf_digest({page.data(), size}) != leaves[i]) return i;
  }
  return leaves.size();
}

Folder::Folder(host::Path path, const Identity& identity, const std::vector<std::string>& names,
               bool force, const Digest& secret)
    : path_(std::move(path)), identity_(identity), names_(names), secret_(secret) {
  host::make_folder(path_);
  host::make_own_folder(path_);
  host::make_own_folder(path_ / ".volt");
  // Inputs, logs and half-made files are nobody else's; root's programs run as somebody else, who
  // must find the way to theirs.
  std::filesystem::permissions(path_ / ".volt",
                               std::filesystem::perms(sandbox::is_root() ? 0711 : 0700));
  lock_ = host::Lock::take(hidden("lock"));
  if (!lock_) {
    throw Error(Exit::conflict, "another process works in " + shown(path_),
                "wait for it, or choose another folder with -o");
  }
  const auto receipt_path = path_ / "receipt.json";
  if (host::exists(receipt_path)) {
    if (!force) {
      throw Error(Exit::conflict, shown(path_) + " holds a complete run",
                  "verify it with gpu-verify, run anew with --force, or choose another folder "
                  "with -o");
    }
    // A second result for the same job is a new attempt, and is recorded as such.
    try {
      const auto earlier = schema::open_receipt(
          host::read_file(receipt_path, schema::max_document_bytes), "receipt.json");
      attempt_ = 1 + earlier.receipt.attempt;
      for (const auto& output : earlier.receipt.outputs) earlier_outputs_.push_back(output.name);
    } catch (const Error& unreadable) {
      if (unreadable.code() != Exit::verification_failed) throw;
    }
  }
  const Journal journal = read_journal(hidden("journal.jsonl"), secret_);
  ours_ = journal.found;
  begun_outputs_ = journal.outputs;
  // The journal of an attempt that has its receipt was only not yet removed.
  if (journal.found && journal.identity == identity_ && journal.attempt >= attempt_) {
    attempt_ = journal.attempt;
    started_ = journal.started;
    earlier_ns_ = journal.elapsed_ns;
    extent_ = journal.extent;
    leaves_ = journal.leaves;
    all_pages_ = journal.all_pages;
    resume(force);
    return;
  }
  // A start that finished no page holds nothing that a person could miss.
  if (journal.found && !journal.leaves.empty() && !force) {
    throw Error(Exit::conflict, shown(path_) + " holds an unfinished run of another job",
                "choose another folder with -o, or drop that run with --force");
  }
  if (!force) refuse_in_the_way();
  host::remove_tree(hidden("work"));
  started_ = format_utc(std::chrono::system_clock::now());
  host::make_own_folder(hidden("work"));
  open_log(true);
  start_journal();
}

void Folder::refuse(const std::string& name) const {
  throw Error(Exit::conflict, shown(path_ / name) + " is in the way",
              "choose another folder with -o, or replace the file with --force");
}

/// Whether an earlier start of ours wrote it.
bool Folder::is_noted(const std::string& name) const {
  return ours_ && (name == "job.json" || name == "run.json" ||
                   std::ranges::find(noted_names, name) != noted_names.end() ||
                   std::ranges::any_of(begun_outputs_, [&](const std::string& output) {
                     return output == name || output.starts_with(name + "/");
                   }));
}

void Folder::refuse_in_the_way() const {
  if (names_.empty()) {
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      const auto name = entry.path().filename().string();
      if (name != ".volt" && !is_noted(name)) refuse(name);
    }
    return;
  }
  std::vector<std::string> wanted = names_;
  wanted.insert(wanted.end(), {"job.json", "run.json", "sweep.json"});
  for (const auto& name : wanted) {
    if (host::exists(path_ / name) && !is_noted(name)) refuse(name);
  }
}

/// The folders on the way to an output are folders: a link among them, which a stranger may have
/// put there, would lead out.
void Folder::check_way(const host::Path& name) const {
  for (auto parent = name.parent_path(); !parent.empty(); parent = parent.parent_path()) {
    std::error_code error;
    if (std::filesystem::is_symlink(path_ / parent, error)) refuse(parent.string());
  }
}

void Folder::drop_outputs(const std::vector<std::string>& names) const {
  for (const host::Path name : names) {
    check_way(name);
    ::unlink((path_ / name).c_str());
    // Folders that only it was in go with it.
    for (auto parent = name.parent_path(); !parent.empty(); parent = parent.parent_path()) {
      if (::rmdir((path_ / parent).c_str()) != 0) break;
    }
  }
}

void Folder::open_log(bool anew) {
  log_ = host::Fd(
      ::open(hidden("log").c_str(),
             O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (anew ? O_TRUNC : 0), 0600));
  if (!log_) throw_system(errno, "cannot open the log of " + shown(path_));
}

host::Path Folder::note(const std::string& name, const std::string& text) const {
  host::write_file(work() / name, text);
  if (host::exists(path_ / "receipt.json")) return work() / name;
  host::rename_into(work() / name, path_ / name);
  return path_ / name;
}

host::Fd Folder::noted_file(const std::string& name) const {
  auto path = host::exists(path_ / "receipt.json") ? work() / name : path_ / name;
  if (leaves_.empty() || !host::exists(path)) path = note(name, {});
  host::Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) throw_system(errno, "cannot open " + shown(path));
  return fd;
}

void Folder::set_outputs(const std::vector<std::pair<std::string, host::Path>>& outputs) {
  Value::Array names;
  names_.clear();
  for (const auto& [name, source] : outputs) {
    names_.push_back(name);
    sources_[name] = source;
    names.emplace_back(name);
  }
  host::write_all(journal_.get(),
                  tagged(doc::to_canonical_json(Value::Object{{"outputs", std::move(names)}})));
}

void Folder::resume(bool force) {
  host::make_own_folder(hidden("work"));
  open_log(leaves_.empty());
  const bool computed =
      extent_ && (all_pages_ || leaves_.size() == tensor::page_count(extent_->second));
  if (!host::exists(path_ / "receipt.json")) {
    if (!computed && !force) refuse_in_the_way();
    drop_outputs(begun_outputs_);
    for (const auto& name : names_) {
      // Killed while the outputs got their names: take them back, the receipt was not yet there.
      if (computed && host::exists(path_ / name) && !host::exists(hidden("work") / name)) {
        std::filesystem::rename(path_ / name, hidden("work") / name);
      }
    }
  }
  // The journal may know of pages that never reached the disk: believe the file alone.
  if (!extent_) leaves_.clear();
  if (!leaves_.empty()) {
    const auto file = work_file(names_.front());
    const auto found = leaves_.size();
    leaves_.resize(matching_pages(file.get(), extent_->first, extent_->second, leaves_));
    all_pages_ = all_pages_ && leaves_.size() == found;
  }
  start_journal();
}

std::string Folder::tagged(const std::string& line) {
  chain_ = tag_of(secret_, chain_, line);
  return line + " " + chain_.hex() + "\n";
}

void Folder::start_journal() {
  auto head = identity_members(identity_);
  head.emplace_back("schema", journal_schema);
  head.emplace_back("attempt", attempt_);
  head.emplace_back("started", started_);
  chain_ = {};
  std::string text = tagged(doc::to_canonical_json(head));
  if (extent_) text += tagged(extent_line(*extent_));
  constexpr std::size_t per_line = 8192;
  for (std::size_t first = 0; first < leaves_.size(); first += per_line) {
    const auto last = std::min(leaves_.size(), first + per_line);
    text += tagged(pages_line({leaves_.begin() + static_cast<std::ptrdiff_t>(first),
                               leaves_.begin() + static_cast<std::ptrdiff_t>(last)},
                              earlier_ns_));
  }
  if (all_pages_) text += tagged(end_line);
  // Written in a folder that is removed with all that a kill may leave in it.
  host::write_file(hidden("work") / "journal.jsonl", text);
  host::rename_into(hidden("work") / "journal.jsonl", hidden("journal.jsonl"));
  journal_ = host::Fd(
      ::open(hidden("journal.jsonl").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  if (!journal_) throw_system(errno, "cannot open the journal of " + shown(path_));
}

host::Fd Folder::work_file(const std::string& name) const {
  const auto path = hidden("work") / name;
  if (path.parent_path() != hidden("work")) host::make_folder(path.parent_path());
  host::Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!fd) throw_system(errno, "cannot create " + shown(path));
  return fd;
}

void Folder::begin(std::uint64_t offset, std::uint64_t bytes) {
  const std::pair extent{offset, bytes};
  if (extent_ && *extent_ != extent) {
    host::remove_tree(hidden("journal.jsonl"));
    throw Error(Exit::failure, "the unfinished run in " + shown(path_) + " is of another volt",
                "it is dropped: the same command starts anew");
  }
  struct statvfs space {};
  const std::uint64_t missing =
      all_pages_ ? 0 : bytes - std::min(bytes, leaves_.size() * tensor::page_bytes);
  if (::statvfs(path_.c_str(), &space) == 0 &&
      space.f_bavail * std::uint64_t{space.f_frsize} < missing) {
    throw Error(Exit::local_io,
                "the output needs " + format_memory(missing) + " more, and " + shown(path_) +
                    " has " + format_memory(space.f_bavail * std::uint64_t{space.f_frsize}) +
                    " free",
                "free some disk space and run the same again, or choose another folder with -o");
  }
  if (!extent_) host::write_all(journal_.get(), tagged(extent_line(extent)));
  extent_ = extent;
}

void Folder::add_pages(const std::vector<Digest>& leaves, std::uint64_t elapsed_ns) {
  host::write_all(journal_.get(), tagged(pages_line(leaves, earlier_ns_ + elapsed_ns)));
  leaves_.insert(leaves_.end(), leaves.begin(), leaves.end());
}

void Folder::keep_pages(std::uint64_t count) {
  if (count >= leaves_.size()) return;
  leaves_.resize(count);
  all_pages_ = false;
  start_journal();
}

void Folder::end_pages() {
  if (!std::exchange(all_pages_, true)) host::write_all(journal_.get(), tagged(end_line));
}

void Folder::complete(const std::string& job, const std::string& run, const std::string& receipt) {
  const auto settle = [&](const std::string& name) {
    const auto source = sources_.find(name);
    const auto to = path_ / name;
    check_way(name);
    if (to.parent_path() != path_) host::make_folder(to.parent_path());
    host::rename_into(source == sources_.end() ? work() / name : source->second, to);
  };
  // All is written below .volt first: whatever is killed when leaves no litter beside the outputs.
  host::write_file(hidden("work") / "job.json", job);
  host::write_file(hidden("work") / "run.json", run);
  host::write_file(hidden("work") / "receipt.json", receipt);
  // While new outputs replace older ones, no receipt may vouch for the mixture.
  if (host::exists(path_ / "receipt.json")) {
    host::remove_tree(path_ / "receipt.json");
    host::sync_folder(path_);
    for (const auto name : noted_names) ::unlink((path_ / name).c_str());
  }
  std::erase_if(earlier_outputs_,
                [&](const auto& name) { return std::ranges::find(names_, name) != names_.end(); });
  drop_outputs(earlier_outputs_);
  for (const auto& name : names_) settle(name);
  for (const auto name : noted_names) {
    if (host::exists(work() / name)) settle(std::string(name));
  }
  settle("job.json");
  settle("run.json");
  settle("receipt.json");
  journal_ = host::Fd();
  host::remove_tree(hidden("work"));
  host::remove_tree(hidden("journal.jsonl"));
}

}  // namespace volt::run

// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/folder.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvolt/base/error.hpp"
#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/host/temp_folder.hpp"
#include "tests/libvolt/proof/small.hpp"
#include "tests/libvolt/schema/sample.hpp"

using namespace volt;
using volt::run::Folder;
using volt::run::Identity;

namespace {

const std::vector<std::string> names{"c.npy", "c.pgm"};
constexpr std::uint64_t offset = 128, bytes = 10'000;  // three pages
namespace fs = std::filesystem;
const Digest secret = digest_of("secret");

/// A run folder, and a run in it that can be stopped anywhere.
struct Runs {
  TempFolder temp;
  fs::path path = temp / "x.run";
  Identity identity{digest_of("job"), {digest_of("a"), digest_of("b")}};
  Bytes content = [] {
    Bytes made(bytes);
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<std::uint8_t>(i * i / 7);
    return made;
  }();
  std::vector<Digest> leaves = Small::leaves(content);

  Folder open(bool force = false) const { return Folder(path, identity, names, force, secret); }

  /// Writes pages [first, last) and journals them.
  void write(Folder& folder, std::size_t first, std::size_t last) const {
    const auto file = folder.work_file("c.npy");
    folder.begin(offset, bytes);
    const ByteView part = ByteView(content).subspan(
        first * 4096, std::min<std::size_t>(bytes, last * 4096) - first * 4096);
    host::write_at(file.get(), offset + first * 4096, part);
    folder.add_pages({leaves.begin() + static_cast<std::ptrdiff_t>(first),
                      leaves.begin() + static_cast<std::ptrdiff_t>(last)},
                     1000);
  }
  void finish(Folder& folder) const {
    host::write_all(folder.work_file("c.pgm").get(), "picture");
    folder.complete("job", "run", receipt(folder.attempt()));
  }
  static std::string receipt(std::uint64_t attempt) {
    static const auto key = crypto::SigningKey::make();
    auto made = sample_receipt(key.public_key());
    made.attempt = attempt;
    return envelope_of(schema::to_payload(made), key);
  }
  std::string text(const std::string& name) const { return temp.read("x.run/" + name); }
  void put(const std::string& name, std::string_view value) const {
    temp.write("x.run/" + name, value);
  }
  bool has(const std::string& name) const { return fs::exists(path / name); }
  fs::path hidden(const std::string& name) const { return path / ".volt" / name; }
  void check_complete() const {
    CHECK(text("c.pgm") == "picture");
    CHECK(text("c.npy").substr(offset) == as_text(content));
    CHECK(text("job.json") == "job");
    CHECK(text("run.json") == "run");
    CHECK_FALSE(text("receipt.json").empty());
  }
};

}  // namespace

TEST_CASE_FIXTURE(Runs, "a run begins with nothing and ends with everything under its name") {
  {
    Folder folder = open();
    CHECK(folder.attempt() == 1);
    CHECK(folder.earlier_ns() == 0);
    CHECK(folder.leaves().empty());
    CHECK(folder.started().ends_with("Z"));
    write(folder, 0, 3);
    CHECK_FALSE(has("c.npy"));
    finish(folder);
  }
  check_complete();
  CHECK_FALSE(fs::exists(hidden("work")));
  CHECK_FALSE(fs::exists(hidden("journal.jsonl")));
}

TEST_CASE_FIXTURE(Runs, "an output that became shorter than it might is taken back from its name") {
  {
    Folder folder = open();
    write(folder, 0, 2);
    folder.end_pages();
    folder.end_pages();
  }
  // Killed as the outputs got their names.
  fs::rename(hidden("work") / "c.npy", path / "c.npy");
  for (int turn = 0; turn < 2; ++turn) {
    Folder folder = open();
    CHECK(folder.leaves().size() == 2);
    CHECK_FALSE(has("c.npy"));
    folder.begin(offset, bytes);
    folder.end_pages();
    if (turn == 1) finish(folder);
  }
  CHECK(text("c.npy").size() == offset + 8192);
}

TEST_CASE_FIXTURE(Runs, "a run goes on where it stopped") {
  std::string started;
  {
    Folder folder = open();
    started = folder.started();
    write(folder, 0, 1);
    write(folder, 1, 2);
  }
  {
    Folder folder = open();
    CHECK(folder.leaves() == std::vector<Digest>(leaves.begin(), leaves.begin() + 2));
    CHECK(folder.started() == started);
    CHECK(folder.earlier_ns() == 1000);
    CHECK(folder.attempt() == 1);
    folder.begin(offset, bytes);
  }
  Folder folder = open();
  CHECK(folder.leaves().size() == 2);
  CHECK(message_of([&] { folder.begin(offset, bytes + 1); }).find("is of another volt") !=
        std::string::npos);
  write(folder, 2, 3);
  CHECK(folder.leaves() == leaves);
  finish(folder);
  check_complete();
}

TEST_CASE_FIXTURE(Runs, "a journal's torn last line is as if never written") {
  {
    Folder folder = open();
    write(folder, 0, 1);
    write(folder, 1, 3);
  }
  std::ifstream file(hidden("journal.jsonl"));
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  const auto last = whole.rfind('\n', whole.size() - 2) + 1;
  for (std::size_t size = last; size < whole.size() - 1; size += 5) {
    put(".volt/journal.jsonl", whole.substr(0, size));
    CHECK(open().leaves().size() == 1);
  }
  put(".volt/journal.jsonl", whole.substr(0, last) + "{\"pages\":[\"garbage\"]}\n");
  CHECK(open().leaves().size() == 1);
  put(".volt/journal.jsonl", whole);
  CHECK(open().leaves().size() == 3);
}

TEST_CASE_FIXTURE(Runs, "a journal torn in its first line is a run that did not begin") {
  { const Folder folder = open(); }
  put(".volt/journal.jsonl", "{\"attempt\":1,\"inp");
  CHECK(open().leaves().empty());
}

TEST_CASE_FIXTURE(Runs, "pages that are damaged or missing on the disk are made again") {
  {
    Folder folder = open();
    write(folder, 0, 3);
  }
  const std::string right = text(".volt/work/c.npy");
  const auto left_after = [&](std::string file) {
    put(".volt/work/c.npy", file);
    std::ifstream in(hidden("journal.jsonl"));
    const std::string journal{std::istreambuf_iterator<char>(in), {}};
    const auto count = open().leaves().size();
    put(".volt/journal.jsonl", journal);
    return count;
  };
  CHECK(left_after(right) == 3);
  for (const std::size_t page : {0, 1, 2}) {
    std::string damaged = right;
    damaged[offset + page * 4096 + 5] ^= 1;
    CHECK(left_after(damaged) == page);
  }
  CHECK(left_after(right.substr(0, right.size() - 1)) == 2);
  CHECK(left_after(right.substr(0, offset + 4096)) == 1);
  CHECK(left_after("") == 0);
  fs::remove(hidden("work/c.npy"));
  CHECK(open().leaves().empty());
}

TEST_CASE_FIXTURE(Runs, "a folder is one process's at a time") {
  const Folder folder = open();
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    const auto message = message_of([&] { open(); });
    ::_exit(message == "another process works in " + path.string() +
                           " [wait for it, or choose another folder with -o]"
                ? 0
                : 1);
  }
  int status = 1;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK(status == 0);
}

TEST_CASE_FIXTURE(Runs, "an unfinished run of another job is not overwritten unless forced") {
  {
    Folder folder = open();
    write(folder, 0, 2);
  }
  Runs other;
  other.path = path;
  for (const auto& changed : {Identity{digest_of("job 2"), identity.inputs},
                              Identity{identity.job, {digest_of("a"), digest_of("c")}},
                              Identity{identity.job, {digest_of("a")}}}) {
    other.identity = changed;
    CHECK(message_of([&] { other.open(); }) ==
          path.string() +
              " holds an unfinished run of another job "
              "[choose another folder with -o, or drop that run with --force]");
  }
  CHECK(open().leaves().size() == 2);
  CHECK(other.open(true).leaves().empty());
  CHECK_FALSE(fs::exists(hidden("work/c.npy")));
}

TEST_CASE_FIXTURE(Runs, "files in the way that are not ours stay, unless forced") {
  put("c.pgm", "a person's");
  CHECK(message_of([&] { open(); }) ==
        (path / "c.pgm").string() +
            " is in the way "
            "[choose another folder with -o, or replace the file with --force]");
  CHECK(text("c.pgm") == "a person's");
  Folder folder = open(true);
  CHECK(text("c.pgm") == "a person's");  // until the end
  write(folder, 0, 3);
  finish(folder);
  check_complete();
}

TEST_CASE_FIXTURE(Runs, "a file in the way is never taken for the unfinished output") {
  put("c.npy", std::string(50'000, 'p'));
  { const Folder killed_at_once = open(true); }
  Folder folder = open(true);
  CHECK(host::stamp_of(folder.work_file("c.npy").get()).bytes == 0);
  CHECK(text("c.npy").size() == 50'000);
}

TEST_CASE_FIXTURE(Runs, "a complete run is kept; forced, the next is another attempt") {
  for (std::uint64_t attempt = 1; attempt <= 3; ++attempt) {
    Folder folder = open(attempt > 1);
    CHECK(folder.attempt() == attempt);
    CHECK(folder.earlier_ns() == 0);
    write(folder, 0, 3);
    finish(folder);
  }
  const std::string before = text("receipt.json");
  CHECK(message_of([&] { open(); }) ==
        path.string() +
            " holds a complete run [verify it with gpu-verify, run anew with --force, "
            "or choose another folder with -o]");
  CHECK(text("receipt.json") == before);
  check_complete();
}

TEST_CASE_FIXTURE(Runs, "a further attempt that was stopped stays that attempt") {
  {
    Folder folder = open();
    write(folder, 0, 3);
    finish(folder);
  }
  {
    Folder folder = open(true);
    write(folder, 0, 1);
  }
  check_complete();  // the first one, still
  Folder folder = open(true);
  CHECK(folder.attempt() == 2);
  CHECK(folder.leaves().size() == 1);
  write(folder, 1, 3);
  finish(folder);
  check_complete();
}

TEST_CASE_FIXTURE(Runs, "a run killed at any step of completing goes on, and loses nothing") {
  // The steps are renames from below .volt to the folder, in this order, the receipt last.
  const std::vector<std::string> steps{"c.npy", "c.pgm", "job.json", "run.json"};
  for (const bool second : {false, true}) {
    for (std::size_t done = 0; done <= steps.size(); ++done) {
      CAPTURE(second);
      CAPTURE(done);
      host::remove_tree(path);
      if (second) {
        Folder folder = open();
        write(folder, 0, 3);
        finish(folder);
      }
      {
        Folder folder = open(second);
        write(folder, 0, 3);
        host::write_all(folder.work_file("c.pgm").get(), "picture");
      }
      fs::remove(path / "receipt.json");  // complete() does so before the first rename
      put(".volt/work/job.json", "job");
      put(".volt/work/run.json", "run");
      put(".volt/work/receipt.json", "receipt");
      for (std::size_t i = 0; i < done; ++i) {
        fs::rename(hidden("work") / steps[i], path / steps[i]);
      }
      Folder folder = open();
      CHECK(folder.attempt() == (second ? 2 : 1));
      CHECK(folder.leaves() == leaves);
      folder.begin(offset, bytes);
      CHECK(host::stamp_of(folder.work_file("c.npy").get()).bytes == offset + bytes);
      finish(folder);
      check_complete();
    }
  }
}

TEST_CASE_FIXTURE(Runs, "a run killed after its receipt is complete") {
  std::string journal;
  {
    Folder folder = open();
    write(folder, 0, 3);
    std::ifstream in(hidden("journal.jsonl"));
    journal.assign(std::istreambuf_iterator<char>(in), {});
    finish(folder);
  }
  put(".volt/journal.jsonl", journal);
  fs::create_directories(hidden("work"));
  CHECK(message_of([&] { open(); }).find("holds a complete run") != std::string::npos);
  check_complete();
  const Folder folder = open(true);
  CHECK(folder.attempt() == 2);
  CHECK(folder.leaves().empty());
  CHECK(folder.earlier_ns() == 0);  // what the first attempt took is not the second's
  CHECK_FALSE(text("receipt.json").empty());
}

TEST_CASE("matching pages end at the first that differs") {
  const Runs runs;
  const auto file =
      host::open_file(runs.temp.write("f", "head" + std::string(as_text(runs.content))));
  CHECK(run::matching_pages(file.get(), 4, bytes, runs.leaves) == 3);
  CHECK(run::matching_pages(file.get(), 0, bytes, runs.leaves) == 0);
  CHECK(run::matching_pages(file.get(), 4, 8192, runs.leaves) == 2);
  CHECK(run::matching_pages(file.get(), 4, 8193, runs.leaves) == 2);
  CHECK(run::matching_pages(file.get(), 4, bytes, {}) == 0);
  auto wrong = runs.leaves;
  wrong[1].bytes[0] ^= 1;
  CHECK(run::matching_pages(file.get(), 4, bytes, wrong) == 1);
}

TEST_CASE_FIXTURE(Runs, "a journal that a stranger planted is not believed") {
  {
    Folder strangers(path, identity, names, false, digest_of("another secret"));
    write(strangers, 0, 3);
  }
  const Folder folder = open();
  CHECK(folder.leaves().empty());
}

TEST_CASE_FIXTURE(Runs, "a line of a journal that was altered ends what is believed of it") {
  {
    Folder folder = open();
    write(folder, 0, 1);
    write(folder, 1, 3);
  }
  std::string journal = text(".volt/journal.jsonl");
  const auto last = journal.rfind("\"pages\":[\"");
  REQUIRE(last != std::string::npos);
  journal[last + 12] = journal[last + 12] == '0' ? '1' : '0';
  put(".volt/journal.jsonl", journal);
  CHECK(open().leaves().size() == 1);
}

TEST_CASE_FIXTURE(Runs,
                  "a link in place of our own folder is refused, and nothing behind it touched") {
  temp.write("precious/work/thesis", "years");
  fs::create_directory(path);
  fs::create_directory_symlink(temp / "precious", path / ".volt");
  CHECK_THROWS_AS(open(true), Error);
  CHECK(temp.read("precious/work/thesis") == "years");
}

TEST_CASE_FIXTURE(Runs, "job.json and run.json of somebody's own are in the way, too") {
  for (const auto* name : {"job.json", "run.json"}) {
    put(name, "mine");
    CHECK_THROWS_AS(open(), Error);
    CHECK(text(name) == "mine");
    fs::remove(path / name);
  }
}

TEST_CASE_FIXTURE(Runs, "a noted file goes on where the run does, and begins anew where it does") {
  {
    Folder folder = open();
    host::write_all(folder.noted_file("metrics.jsonl").get(), "of a start without pages\n");
  }
  {
    Folder folder = open();
    CHECK(text("metrics.jsonl").starts_with("of a start"));
    host::write_all(folder.noted_file("metrics.jsonl").get(), "1\n");
    CHECK(text("metrics.jsonl") == "1\n");
    write(folder, 0, 1);
  }
  {
    Folder folder = open();
    const host::Fd file = folder.noted_file("metrics.jsonl");
    CHECK(as_text(host::read_whole(file.get())) == "1\n");
    host::write_at(file.get(), 2, as_bytes("2\n"));
    folder.note("loss.svg", "picture");
    write(folder, 1, 3);
    finish(folder);
  }
  CHECK(text("metrics.jsonl") == "1\n2\n");
  CHECK(text("loss.svg") == "picture");
  // What replaces a complete run leaves its notes alone until then, and none of them behind.
  Folder folder = open(true);
  host::write_all(folder.noted_file("metrics.jsonl").get(), "3\n");
  CHECK(text("metrics.jsonl") == "1\n2\n");
  write(folder, 0, 3);
  finish(folder);
  CHECK(text("metrics.jsonl") == "3\n");
  CHECK_FALSE(has("loss.svg"));
}

TEST_CASE_FIXTURE(Runs, "a link in place of a noted file is not followed") {
  {
    Folder folder = open();
    write(folder, 0, 1);
  }
  temp.write("precious", "keep me");
  fs::create_symlink(temp / "precious", path / "metrics.jsonl");
  Folder folder = open();
  CHECK(message_of([&] { folder.noted_file("metrics.jsonl"); }).starts_with("cannot open "));
  CHECK(temp.read("precious") == "keep me");
}

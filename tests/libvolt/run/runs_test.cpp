// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/runs.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "libvolt/base/quantities.hpp"
#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/host/temp_folder.hpp"

using namespace volt;
using volt::run::Run;
using volt::run::State;
using volt::run::state_of;

namespace {

namespace fs = std::filesystem;

struct Index {
  TempFolder temp;
  run::Runs runs{temp / "state/runs"};

  fs::path folder(const std::string& name) const {
    fs::create_directories(temp / (name + "/.volt"));
    return temp / name;
  }
  Run add(const std::string& name) const {
    Run run;
    run.folder = folder(name + ".run");
    run.id = run::id_of(run.folder);
    run.name = name;
    run.workload = "matmul";
    run.job = "/job.toml";
    runs.add(run);
    return run;
  }
  void report(const std::string& name, const std::string& ended, int status,
              const std::string& word, const std::string& more = "") const {
    temp.write(name + "/run.json",
               R"({"schema":"volt.run/1","name":"x","workload":"command","started":"s","ended":")" +
                   ended + R"(","status":)" + std::to_string(status) + R"(,"class":")" + word +
                   "\"" + more + "}");
  }
  /// An entry of the index as it stands in its file, under the name that belongs to its folder.
  void plant(const std::string& folder, const std::string& text) const {
    temp.write("state/runs/" + run::id_of(folder), text);
  }
  static std::string entry(const std::string& folder, const std::string& more) {
    return R"({"schema":"volt.start/1","folder":")" + folder +
           R"(","name":"x","workload":"matmul","job":"-",)" + more + "}";
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& run : runs.all()) names.push_back(run.name);
    return names;
  }
};

const std::string a_time = R"("started":"2026-11-20T09:57:00Z")";

}  // namespace

TEST_CASE_FIXTURE(Index, "how a run stands is read from its folder alone") {
  const auto path = folder("x");
  CHECK(state_of(path) == State::stopped);
  const auto after = [&](const char* ended, int status, const char* word) {
    report("x", ended, status, word);
    return state_of(path);
  };
  CHECK(after("program", 3, "answer-is-no") == State::failed);
  CHECK(after("volt", 12, "sandbox") == State::failed);
  CHECK(after("limit", 124, "timeout") == State::limit);
  CHECK(after("interrupted", 143, "interrupted") == State::interrupted);
  // Written just before the receipt that is not there.
  CHECK(after("program", 0, "ok") == State::stopped);
  temp.write("x/receipt.json", "");
  CHECK(after("volt", 12, "sandbox") == State::done);
  {
    const auto lock = host::Lock::take(path / ".volt/lock");
    CHECK(state_of(path) == State::running);
  }
  CHECK(state_of(path) == State::done);
}

TEST_CASE_FIXTURE(Index, "run.json is read as anybody's") {
  const auto path = folder("x");
  CHECK_FALSE(run::report_of(path));
  report("x", "volt", 12, "sandbox", R"(,"error":"no\u001b[31m","hint":"h","elapsed_ns":5)");
  const auto report_read = run::report_of(path);
  REQUIRE(report_read);
  CHECK(report_read->exit == Exit::sandbox);
  CHECK(report_read->status == 12);
  CHECK(report_read->error == "no\x1b[31m");
  CHECK(report_read->elapsed_ns == 5);
  report("x", "program", 3, "no-such-class");
  CHECK(run::report_of(path)->exit == Exit::failure);

  for (const auto* ended : {"", "done", "PROGRAM"}) {
    report("x", ended, 1, "ok");
    CHECK_FALSE(run::report_of(path));
  }
  for (const int status : {-1, 0, 256}) {
    report("x", "limit", status, "ok");
    CHECK_FALSE(run::report_of(path));
  }
  report("x", "volt", 1, "failure", R"(,"error":[1])");
  CHECK_FALSE(run::report_of(path));
  for (const auto* text : {"", "{", "[]", "null", R"({"schema":"volt.run/2"})", "\xff"}) {
    temp.write("x/run.json", text);
    CHECK_FALSE(run::report_of(path));
    CHECK(state_of(path) == State::stopped);
  }
  temp.write("x/run.json", std::string(std::size_t{9} << 20, ' '));
  CHECK_FALSE(run::report_of(path));
  fs::remove(path / "run.json");
  REQUIRE(::mkfifo((path / "run.json").c_str(), 0600) == 0);
  CHECK_FALSE(run::report_of(path));  // and nobody waits for a writer
}

TEST_CASE_FIXTURE(Index, "a run that was added is found by id, folder and name") {
  CHECK(runs.all().empty());
  const auto one = add("one"), two = add("second");
  REQUIRE(runs.all().size() == 2);
  const auto found = runs.find(one.id);
  CHECK(found.folder == one.folder);
  CHECK(found.name == "one");
  CHECK(found.workload == "matmul");
  CHECK(found.job == "/job.toml");
  CHECK(parse_utc(found.started));
  CHECK(found.process == host::own_name());
  CHECK(runs.find("second").id == two.id);
  CHECK(runs.find(two.folder.string() + "/").id == two.id);
  CHECK(runs.find(one.id.substr(0, 4)).id == one.id);
  fs::create_directory_symlink(one.folder, temp / "link");
  CHECK(runs.find((temp / "link").string()).id == one.id);
  CHECK((fs::status(temp / ("state/runs/" + one.id)).permissions() & fs::perms(0077)) ==
        fs::perms::none);

  CHECK(message_of([&] { runs.find("secnd"); }) ==
        "there is no run \"secnd\" [did you mean \"second\"?]");
  for (const auto& name : {std::string(), one.id.substr(0, 3), std::string("\x1b[31m"),
                           temp.path().string(), std::string(9999, 'a')}) {
    CHECK(message_of([&] { runs.find(name); }).starts_with("there is no run \""));
  }
}

TEST_CASE_FIXTURE(Index, "a folder has one entry, and the latest run of a name wins") {
  const auto first = add("same");
  add("same");
  CHECK(names().size() == 1);
  const auto other = folder("other.run");
  plant(other.string(), entry(other.string(), R"("started":"2099-01-01T00:00:00Z")"));
  Run again = first;
  again.name = "x";
  runs.add(again);
  CHECK(names() == std::vector<std::string>{"x", "x"});
  CHECK(runs.find("x").folder == other);
}

TEST_CASE_FIXTURE(Index, "several ids that begin alike are told") {
  std::map<std::string, std::string> by_digits;
  for (int i = 0;; ++i) {
    const auto path = (temp / std::to_string(i)).string();
    const auto [where, fresh] = by_digits.emplace(run::id_of(path).substr(0, 4), path);
    if (fresh) continue;
    for (const auto& one : {path, where->second}) {
      fs::create_directories(fs::path(one) / ".volt");
      plant(one, entry(one, a_time));
    }
    CHECK(message_of([&] {
            runs.find(where->first);
          }).starts_with("several runs begin with " + where->first + " [one of "));
    break;
  }
}

TEST_CASE_FIXTURE(Index,
                  "a folder that is gone is forgotten; one that is not listed is still found") {
  const auto run = add("gone");
  fs::remove_all(run.folder);
  CHECK(runs.all().empty());
  CHECK_FALSE(fs::exists(temp / ("state/runs/" + run.id)));

  const auto path = folder("stray.run");
  CHECK(runs.find(path.string()).name == "stray");
  CHECK_FALSE(runs.find(path.string()).process);
  report("stray.run", "program", 3, "answer-is-no");
  CHECK(runs.find(path.string()).name == "x");
  CHECK(runs.find(path.string()).workload == "command");
}

TEST_CASE_FIXTURE(Index, "entries that we would not have written are none") {
  add("good");
  const auto path = folder("bad.run").string();
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string(70'000, ' '),
        entry(path, R"("started":"yesterday")"), entry(path, R"("started":7)"),
        entry(path, a_time + R"(,"pid":0,"pid_started":1,"boot":"")"),
        entry(path, a_time + R"(,"pid":-1,"pid_started":1,"boot":"")"),
        entry(path, a_time + R"(,"pid":4294967297,"pid_started":1,"boot":"")"),
        entry(path, a_time + R"(,"pid":"1","pid_started":1,"boot":"")"),
        entry(path, a_time + R"(,"pid":1)"), entry("/", a_time),
        R"({"schema":"volt.start/2")" + entry(path, a_time).substr(24)}) {
    plant(path, text);
    CHECK(names() == std::vector<std::string>{"good"});
  }
  plant("bad.run", entry("bad.run", a_time));  // wherever we happen to be
  CHECK(names() == std::vector<std::string>{"good"});
  plant(path, entry(path, a_time));
  CHECK(names().size() == 2);

  // Links, pipes and what a crash left are passed over.
  fs::rename(temp / ("state/runs/" + run::id_of(path)), temp / "elsewhere");
  fs::create_symlink(temp / "elsewhere", temp / ("state/runs/" + run::id_of(path)));
  REQUIRE(::mkfifo((temp / "state/runs/0123456789ab").c_str(), 0600) == 0);
  temp.write("state/runs/" + run::id_of(path) + ".part7", entry(path, a_time));
  CHECK(names() == std::vector<std::string>{"good"});
}

TEST_CASE_FIXTURE(Index, "a folder may have any name that is UTF-8") {
  const auto run = add("new\nline \x1b[31m");
  CHECK(runs.find(run.id).folder == run.folder);
  CHECK(message_of([&] { add("\xff"); }).ends_with(" is not UTF-8"));
}

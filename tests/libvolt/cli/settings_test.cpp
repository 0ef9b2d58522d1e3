// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/settings.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "libvolt/base/error.hpp"

using namespace volt;
using namespace volt::cli;
namespace fs = std::filesystem;

namespace {

/// A project folder as working directory and a home beside it, empty and with no variable set.
class Place {
 public:
  Place() : before_(fs::current_path()) {
    char name[] = "/tmp/volt-settings-XXXXXX";
    if (::mkdtemp(name) == nullptr) throw_system(errno, "cannot make a folder");
    root_ = name;
    fs::create_directories(root_ / "project");
    fs::create_directories(root_ / "home/.config/volt");
    fs::current_path(root_ / "project");
    for (const auto& setting : settings()) {
      std::string variable = "VOLT_" + std::string(setting.key);
      for (char& c : variable) c = static_cast<char>(std::toupper(c));
      ::unsetenv(variable.c_str());
    }
    ::unsetenv("XDG_CONFIG_HOME");
    ::setenv("HOME", (root_ / "home").c_str(), 1);
  }
  ~Place() {
    fs::current_path(before_);
    fs::remove_all(root_);
    ::unsetenv("VOLT_LEVEL");
    ::unsetenv("VOLT_TOKEN");
    ::unsetenv("XDG_CONFIG_HOME");
  }

  void project(std::string_view text) { write("project/volt.toml", text); }
  void user(std::string_view text) { write("home/.config/volt/config.toml", text); }
  fs::path root() const { return root_; }

 private:
  void write(const char* path, std::string_view text) { std::ofstream(root_ / path) << text; }
  fs::path before_, root_;
};

std::string refusal() {
  try {
    configuration();
  } catch (const Error& error) {
    CHECK(error.code() == Exit::usage);
    return error.message() + " (" + error.hint() + ")";
  }
  return "accepted";
}

}  // namespace

TEST_CASE("environment wins over project, project over user") {
  Place place;
  place.user("threads = 4\nlevel = \"user\"\n");
  CHECK(configuration().at("level").text == "user");
  CHECK(configuration().at("threads").text == "4");
  CHECK(configuration().at("threads").origin ==
        (place.root() / "home/.config/volt/config.toml").string() + ":1");
  place.project("\nthreads = 2\n");
  CHECK(configuration().at("threads").text == "2");
  CHECK(configuration().at("threads").origin == "./volt.toml:2");
  ::setenv("VOLT_THREADS", "1", 1);
  CHECK(configuration().at("threads").text == "1");
  CHECK(configuration().at("threads").origin == "VOLT_THREADS");
  ::setenv("VOLT_THREADS", "", 1);
  CHECK(configuration().at("threads").text == "2");
}

TEST_CASE("no file and no home is no error") {
  Place place;
  ::unsetenv("HOME");
  CHECK(refusal() == "accepted");
}

TEST_CASE("XDG_CONFIG_HOME moves the user's file, unless it is relative") {
  Place place;
  place.user("threads = 4\n");
  ::setenv("XDG_CONFIG_HOME", "elsewhere", 1);
  CHECK(configuration().at("threads").text == "4");
  ::setenv("XDG_CONFIG_HOME", "/nowhere/at/all", 1);
  CHECK(configuration().count("threads") == 0);
}

TEST_CASE("an unknown setting is refused, an unknown variable is not") {
  Place place;
  ::setenv("VOLT_TOKEN", "secret", 1);
  CHECK(refusal() == "accepted");
  place.project("levle = \"x\"\n");
  CHECK(refusal() == "./volt.toml:1: unknown setting \"levle\" (did you mean \"level\"?)");
}

TEST_CASE("a project may not set what is the person's own") {
  Place place;
  place.project("threads = 1\ndevice = \"cpu\"\n");
  CHECK(refusal().starts_with("./volt.toml:2: a project may not set device (set it in /tmp/"));
}

TEST_CASE("a value is a string or a whole number") {
  Place place;
  place.user("threads = [1]\n");
  CHECK(refusal().find("config.toml:1: threads is ") != std::string::npos);
  place.user("threads = \n");
  CHECK(refusal().find("config.toml:1:") != std::string::npos);
}

TEST_CASE("a configuration that is no file is refused") {
  Place place;
  fs::create_directory("volt.toml");
  CHECK(refusal() == "the configuration ./volt.toml is not a regular file ()");
}

TEST_CASE("a cloned repository cannot lower what is demanded of a receipt") {
  Place place;
  place.project("level = \"L0\"\n");
  CHECK(refusal().starts_with("./volt.toml:1: a project may not set level"));
}

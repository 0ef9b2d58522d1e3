// SPDX-License-Identifier: Apache-2.0
#include "libvolt/host/places.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <map>
#include <vector>

#include "tests/libvolt/doc/message.hpp"

using namespace volt::host;

namespace {

/// The variables that matter, put back at the end.
class Environment {
 public:
  Environment() {
    for (const char* name : {"HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"}) {
      if (const char* value = std::getenv(name)) before_[name] = value;
      ::unsetenv(name);
      names_.push_back(name);
    }
  }
  ~Environment() {
    for (const char* name : names_) {
      const auto found = before_.find(name);
      found == before_.end() ? ::unsetenv(name) : ::setenv(name, found->second.c_str(), 1);
    }
  }
  void set(const char* name, const char* value) { ::setenv(name, value, 1); }

 private:
  std::vector<const char*> names_;
  std::map<std::string, std::string> before_;
};

}  // namespace

TEST_CASE_FIXTURE(Environment, "without XDG variables all is below HOME") {
  set("HOME", "/home/ada");
  CHECK(configuration_folder() == "/home/ada/.config/volt");
  CHECK(state_folder() == "/home/ada/.local/state/volt");
  CHECK(cache_folder() == "/home/ada/.cache/volt");
}

TEST_CASE_FIXTURE(Environment, "absolute XDG variables go before HOME, each for itself") {
  set("HOME", "/home/ada");
  set("XDG_CONFIG_HOME", "/c");
  set("XDG_STATE_HOME", "/s");
  CHECK(configuration_folder() == "/c/volt");
  CHECK(state_folder() == "/s/volt");
  CHECK(cache_folder() == "/home/ada/.cache/volt");
}

TEST_CASE_FIXTURE(Environment, "relative and empty XDG variables are ignored") {
  set("HOME", "/home/ada");
  for (const char* value : {"relative", "./x", "~/x", ""}) {
    set("XDG_CONFIG_HOME", value);
    CHECK(configuration_folder() == "/home/ada/.config/volt");
  }
}

TEST_CASE_FIXTURE(Environment, "without HOME there is no place, unless a variable names one") {
  CHECK(message_of([] { cache_folder(); }) ==
        "no place for volt's files: HOME is not set "
        "[set HOME, or XDG_CACHE_HOME to an absolute path]");
  set("HOME", "");
  CHECK(message_of([] { state_folder(); }) ==
        "no place for volt's files: HOME is not set "
        "[set HOME, or XDG_STATE_HOME to an absolute path]");
  set("HOME", "ada");
  CHECK_THROWS_AS(configuration_folder(), volt::Error);
  set("XDG_CONFIG_HOME", "/c");
  CHECK(configuration_folder() == "/c/volt");
}

TEST_CASE_FIXTURE(Environment, "an empty variable counts as unset") {
  CHECK_FALSE(environment("HOME"));
  set("HOME", "");
  CHECK_FALSE(environment("HOME"));
  set("HOME", "/x");
  CHECK(environment("HOME") == "/x");
}

TEST_CASE("the program that runs can be started again") {
  struct stat facts {};
  REQUIRE(::stat(own_program().c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0111) != 0);
}

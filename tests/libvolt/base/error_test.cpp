// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/error.hpp"

#include <doctest/doctest.h>

#include <cerrno>

using namespace volt;

TEST_CASE("an error's text is its message, its cause, and its notes from within to without") {
  Error error(Exit::local_io, "cannot read a.npy", "look for it", "no such file");
  CHECK(error.text() == "cannot read a.npy: no such file");
  error.note("reading input a");
  error.note("running job x");
  CHECK(error.text() ==
        "cannot read a.npy: no such file, while reading input a, while running job x");
  CHECK(error.message() == "cannot read a.npy");
  CHECK(error.hint() == "look for it");
  CHECK(error.cause() == "no such file");
  CHECK(error.notes() == std::vector<std::string>{"reading input a", "running job x"});
  CHECK(std::string(error.what()) == "cannot read a.npy");
  CHECK(error.code() == Exit::local_io);
  CHECK(Error(Exit::usage, "no").text() == "no");
}

TEST_CASE("an error that passes is noted, and what passes without one is given on") {
  CHECK(during("counting", [] { return 3; }) == 3);
  int value = 4;
  during("naming", [&]() -> int& { return value; }) = 5;
  CHECK(value == 5);
  try {
    during("outer", [] { during("inner", [] { throw Error(Exit::usage, "wrong"); }); });
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.text() == "wrong, while inner, while outer");
  }
}

TEST_CASE("errors of the system have its words and a hint where there is one") {
  const auto thrown = [](int number, std::string hint) {
    try {
      throw_system(number, "cannot do it", std::move(hint));
    } catch (const Error& error) {
      return error;
    }
  };
  CHECK(thrown(ENOENT, "").text() == "cannot do it: No such file or directory");
  CHECK(thrown(ENOENT, "").hint().empty());
  CHECK(thrown(ENOSPC, "").hint() == "free some disk space and run the same again");
  CHECK(thrown(EACCES, "").hint() == "check who owns the file and its mode");
  CHECK(thrown(EACCES, "ask her").hint() == "ask her");
  CHECK(thrown(EIO, "").code() == Exit::local_io);
}

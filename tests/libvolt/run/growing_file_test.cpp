// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/growing_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>

#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/host/temp_folder.hpp"

using namespace volt;
using volt::run::GrowingFile;

namespace {

struct Kept {
  TempFolder temp;
  std::string left(std::string_view before, std::initializer_list<std::string_view> pieces,
                   bool finished = true) {
    temp.write("f", before);
    GrowingFile file(host::Fd(::open((temp / "f").c_str(), O_RDWR | O_CLOEXEC)));
    for (const auto piece : pieces) file.add(piece);
    if (finished) file.finish();
    return temp.read("f");
  }
};

}  // namespace

TEST_CASE_FIXTURE(Kept, "what was told before is told again and changes nothing") {
  CHECK(left("", {"a\n", "bc\n"}) == "a\nbc\n");
  CHECK(left("a\n", {"a\n", "bc\n"}) == "a\nbc\n");
  CHECK(left("a\nbc\n", {"a\n", "bc\n"}) == "a\nbc\n");
  CHECK(left("a\nbc\nd\n", {"a\n"}, false) == "a\nbc\nd\n");
}

TEST_CASE_FIXTURE(Kept, "from the first difference on the file is new") {
  CHECK(left("a\nb", {"a\n", "bc\n"}) == "a\nbc\n");                            // torn by a kill
  CHECK(left("a\nxyz\nd\n", {"a\n", "b\n"}) == "a\nb\n");                       // another run's
  CHECK(left(std::string_view("a\n\0\0\0\0", 6), {"a\n", "b\n"}) == "a\nb\n");  // lost by a crash
  CHECK(left("a\nb\nc\n", {"a\n", "b\n"}) == "a\nb\n");  // longer than the run
}

TEST_CASE_FIXTURE(Kept, "the next piece can be looked at before it is added") {
  temp.write("f", "abcd");
  GrowingFile file(host::Fd(::open((temp / "f").c_str(), O_RDWR | O_CLOEXEC)));
  CHECK(file.ahead(2) == "ab");
  file.add("ab");
  CHECK(file.ahead(9) == "cd");
  file.add("x");
  CHECK(file.ahead(1).empty());
  CHECK(temp.read("f") == "abx");
}

TEST_CASE_FIXTURE(Kept, "a file that cannot be written is told") {
  temp.write("f", "abcd");
  GrowingFile file(host::Fd(::open((temp / "f").c_str(), O_RDONLY | O_CLOEXEC)));
  file.add("ab");
  CHECK(message_of([&] { file.add("x"); }).starts_with("cannot shorten a file of the run folder"));
}

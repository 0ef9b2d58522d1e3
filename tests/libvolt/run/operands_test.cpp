// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/operands.hpp"

#include <doctest/doctest.h>

#include <cstring>

#include "libvolt/tensor/npy.hpp"
#include "tests/libvolt/doc/message.hpp"
#include "tests/libvolt/host/temp_folder.hpp"

using namespace volt;
using run::Operand;

namespace {

std::string npy_of_bytes(std::string_view elements) {
  return tensor::npy_header({tensor::Dtype::i8, {1, elements.size()}}) + std::string(elements);
}

std::string safetensors(std::string header, std::string_view data) {
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  return file + header + std::string(data);
}

}  // namespace

TEST_CASE("what is verified is a copy: a file changed after it was read changes nothing") {
  const TempFolder folder;
  folder.write("a.npy", npy_of_bytes("right"));
  const host::Fd fd = host::open_file(folder / "a.npy");
  const auto operand = Operand::from_file(fd.get(), "a", {}, Operand::Trust::copied);
  folder.write("a.npy", npy_of_bytes("wrong"));
  CHECK(as_text(operand.elements()) == "right");
}

TEST_CASE("an output is a .npy file and nothing else") {
  const TempFolder folder;
  folder.write("c.npy",
               safetensors(R"({"c":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})", "x"));
  const host::Fd fd = host::open_file(folder / "c.npy");
  CHECK_THROWS_AS(Operand::from_output(fd.get(), "c.npy", Operand::Trust::copied), Error);
}

TEST_CASE("a tensor that lies at an odd place is read all the same") {
  const TempFolder folder;
  const float value = 1.5F;
  std::string data(5, 'x');
  std::memcpy(data.data() + 1, &value, 4);
  // An odd header length makes the float begin at an address that is no multiple of four.
  folder.write("w", safetensors(R"({"p":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},)"
                                R"("w":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}} )",
                                data));
  for (const auto trust : {Operand::Trust::copied, Operand::Trust::in_place}) {
    const host::Fd fd = host::open_file(folder / "w");
    const auto operand = Operand::from_file(fd.get(), "a", "w", trust);
    float read = 0;
    REQUIRE(operand.elements().size() == 4);
    std::memcpy(&read, operand.elements().data(), 4);
    CHECK(read == 1.5F);
    CHECK(reinterpret_cast<std::uintptr_t>(operand.elements().data()) % 4 == 0);
  }
}

TEST_CASE("a tensor must be named when there are several, and there") {
  const TempFolder folder;
  folder.write("w", safetensors(R"({"one":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},)"
                                R"("two":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}})",
                                "xy"));
  const host::Fd fd = host::open_file(folder / "w");
  const auto refusal = [&](const char* wanted) {
    return message_of([&] { Operand::from_file(fd.get(), "a", wanted, Operand::Trust::in_place); });
  };
  CHECK(refusal("") ==
        "input a has 2 tensors, and none is named [write { path = \"...\", tensor = \"NAME\" }]");
  CHECK(refusal("none") == "input a has no tensor \"none\"");
}

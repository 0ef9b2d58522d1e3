// SPDX-License-Identifier: Apache-2.0
#include "libvolt/device/device.hpp"

#include <doctest/doctest.h>

#include "libvolt/base/error.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::device;

namespace {

Wanted wanted(std::uint64_t memory = 0, std::string name = "cpu") {
  Wanted w;
  w.device = std::move(name);
  w.threads = 1;
  w.memory_bytes = memory;
  return w;
}

}  // namespace

TEST_CASE("names that a device may have, and names that none has") {
  for (const std::string name : {"auto", "cpu", "cuda:0", "cuda:12", "GPU-1234"}) wanted(name, 0);
  for (const std::string name :
       {"", "CPU", "cpu:0", "cuda", "cuda:", "cuda:-1", "cuda:0,1", "tpu"}) {
    CHECK(message_of([&] { wanted(name, 0); }) ==
          "no device is called \"" + name +
              "\" [devices are auto, cpu, cuda:N and GPU-uuid; gpu-run devices lists them]");
  }
  CHECK(message_of([] { wanted("\x1b[2J", 0); }).find('\x1b') == std::string::npos);
}

TEST_CASE("the exit status tells an absent device from a wrong name") {
  const auto exit_of = [](const std::string& name) {
    try {
      const Device device(wanted(0, name));
    } catch (const Error& error) {
      return error.code();
    }
    return Exit::ok;
  };
  CHECK(exit_of("cuda:4000") == Exit::no_device);
  CHECK(exit_of("GPU-x") == Exit::no_device);
  CHECK(exit_of("x") == Exit::usage);
}

TEST_CASE("a device says what it is") {
  const Device device(wanted(0, "cpu"));
  CHECK(device.facts().backend == "cpu");
  CHECK_FALSE(device.facts().name.empty());
  CHECK(device.facts().driver.starts_with("linux "));
  CHECK(device.facts().memory_bytes > (std::uint64_t{1} << 20));
  CHECK(device.facts().cores >= 1);
}

TEST_CASE("more memory than the limit is an error that names both") {
  Device device(wanted(1'000'000));
  CHECK(message_of([&] { device.create(2'000'000); }) ==
        "not enough device memory: needs 2 MB more, the limit is 1 MB "
        "[give the job more with [limits] memory, or use a device with more]");
  try {
    device.create(2'000'000);
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::no_device);
  }
  const Buffer half = device.create(600'000);
  CHECK(message_of([&] { device.create(600'000); }).starts_with("not enough device memory: "));
}

TEST_CASE("memory that was given back counts no more") {
  Device device(wanted(1'000'000));
  for (int i = 0; i < 10; ++i) const Buffer buffer = device.create(900'000);
  Buffer kept = device.create(900'000);
  Buffer moved = std::move(kept);
  CHECK(kept.get() == nullptr);
  moved = Buffer();
  device.create(900'000);
}

TEST_CASE("new memory is zero, and borrowed memory is what it was") {
  Device device(wanted());
  const Bytes bytes{1, 2, 3, 4, 5};
  const Buffer zero = device.create(5), borrowed = device.borrow(bytes);
  Bytes read(5, 9);
  device.download(zero, read.data(), 5);
  CHECK(read == Bytes(5));
  device.download(borrowed, read.data(), 5);
  CHECK(read == bytes);
}

TEST_CASE("more threads than the kernels take are refused, not cut off") {
  CHECK(message_of([] { wanted("cpu", 1025); }) == "1025 threads are more than the 1024 allowed");
  CHECK_THROWS_AS(wanted("cpu", (std::uint64_t{1} << 32) + 1), Error);
}

TEST_CASE("a table that wraps the CPU's takes its place") {
  static int calls;
  calls = 0;
  kernels::Backend table = kernels::cpu();
  table.create = [](kernels::Context* context, std::uint64_t bytes, kernels::Buffer** buffer) {
    ++calls;
    return kernels::cpu().create(context, bytes, buffer);
  };
  Device device(wanted(), table);
  const Buffer buffer = device.create(4);
  CHECK(calls == 1);
  CHECK(device.facts().backend == "cpu");
}

// SPDX-License-Identifier: Apache-2.0

// What is the CPU's own: its memory, and how its contexts are opened.

#include "host.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>

#include "check.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace volt::kernels {
namespace {

constexpr unsigned max_threads = 1024;
constexpr std::uint64_t alignment = 64;

// The address that calloc gave lies before the aligned bytes; calloc aligns to 16, so that there is
// room for it.
void*& block_of(std::byte* data) { return reinterpret_cast<void**>(data)[-1]; }

// Products walk down columns, a page a step: with pages of 4 KiB that costs them 2 to 3 percent.
void huge_pages([[maybe_unused]] void* block, [[maybe_unused]] std::uint64_t bytes) {
#if defined(__linux__)
  constexpr std::uint64_t page = 4096, worth = 4 << 20;
  if (bytes < worth) return;
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const std::uint64_t ahead = (page - address % page) % page;
  // A hint: where it is refused, nothing is lost but speed.
  madvise(static_cast<std::byte*>(block) + ahead, (bytes - ahead) / page * page, MADV_HUGEPAGE);
#endif
}

std::byte* take(std::uint64_t bytes) {
  if (bytes > PTRDIFF_MAX - alignment) return nullptr;
  void* const block = std::calloc(bytes + alignment, 1);
  if (block == nullptr) return nullptr;
  huge_pages(block, bytes);
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  auto* const data = static_cast<std::byte*>(block) + (alignment - address % alignment);
  block_of(data) = block;
  return data;
}

void release(std::byte* data) {
  if (data != nullptr) std::free(block_of(data));
}

}  // namespace

Memory::~Memory() { release(data_); }

bool Memory::take(std::uint64_t bytes) {
  release(data_);
  data_ = kernels::take(bytes);
  bytes_ = data_ == nullptr ? 0 : bytes;
  return data_ != nullptr;
}

constinit const Store host_store = {
    "the system",
    true,
    [](Context&, std::uint64_t bytes) { return take(bytes); },
    [](Context&, std::byte* data) { release(data); },
    [](Context&, std::byte* to, const void* host, std::uint64_t n) { std::memcpy(to, host, n); },
    [](Context&, const std::byte* from, void* host, std::uint64_t n) {
      std::memcpy(host, from, n);
    },
    [](Context&, const std::byte* from, std::byte* to, std::uint64_t n) {
      std::memcpy(to, from, n);
    },
    [](Context&) {},
    [](Context&) -> Status { return {}; },
};

std::uint64_t host_compare(Context&, const std::uint8_t* a, const std::uint8_t* b,
                           std::uint64_t bytes) {
  constexpr std::uint64_t piece = 1 << 20;
  for (std::uint64_t done = 0; done < bytes; done += piece) {
    const std::uint64_t count = std::min(piece, bytes - done);
    if (std::memcmp(a + done, b + done, count) == 0) continue;
    return static_cast<std::uint64_t>(std::mismatch(a + done, a + done + count, b + done).first -
                                      a);
  }
  return bytes;
}

Status open_context(const Engine& engine, const Options& options, unsigned threads,
                    Context** context) {
  *context = nullptr;
  if (threads == 0)
    threads = std::max(1u, std::min(std::thread::hardware_concurrency(), max_threads));
  if (threads > max_threads) {
    return say(Status::invalid, "%u threads are asked for, the most is %u", threads, max_threads);
  }
  try {
    *context = new Context(engine, threads, options.memory_limit);
    return {};
  } catch (const std::bad_alloc&) {
    return say(Status::out_of_memory, "no memory left for a context");
  } catch (const std::system_error& error) {
    return say(Status::failed, "could not start %u threads: %s", threads, error.what());
  } catch (const std::exception& error) {
    return say(Status::failed, "%s", error.what());
  }
}

Backend make_backend(const char* name, Status (*open)(const Options&, Context**),
                     const Network* network) {
  Backend backend = {};
  backend.name = name;
  backend.open = open;
  backend.network = network;
  add_buffers(backend);
  add_operations(backend);
  return backend;
}

}  // namespace volt::kernels

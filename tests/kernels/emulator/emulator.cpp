// SPDX-License-Identifier: Apache-2.0

#include "emulator.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "guarded.hpp"

// Saves the registers that a function must keep on the stack, leaves the stack pointer in *from and
// goes on where the stack `to` was left.
extern "C" void volt_emulator_switch(void** from, void* to);
asm(R"(
  .text
  .globl volt_emulator_switch
  .hidden volt_emulator_switch
  .type volt_emulator_switch, @function
volt_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size volt_emulator_switch, .-volt_emulator_switch
)");

namespace volt::kernels::emulator {
namespace {

constexpr std::uint32_t warp_size = 32;
constexpr std::size_t stack_bytes = 64 * 1024;

// As fp32 -2.6e36 and as int8 -5: both spoil a sum for good.
constexpr int garbage = 0xfb;

struct Copy {
  std::byte* to;
  const std::byte* from;
  std::uint32_t size, bytes;
  std::uint64_t batch;
};

enum class State { ready, at_barrier, in_meeting, returned };

struct Thread {
  void* stack = nullptr;
  State state = State::ready;
  std::uint64_t batches = 0;  // committed so far
  std::vector<Copy> copies;   // on their way
};

struct Warp {
  Slot slots[2][warp_size];  // by turns: who goes on first may already come to the next meeting
  unsigned turn = 0, arrived = 0;
  const char* what = "";
};

struct Block {
  explicit Block(const Launch& l)
      : launch(l),
        threads(l.threads),
        warps(l.threads / warp_size),
        shared(l.shared_bytes + canary),
        order(l.threads) {
    std::iota(order.begin(), order.end(), 0u);
  }

  static constexpr std::uint32_t alignment = 128, canary = 128;

  std::byte* shared_begin() const { return shared.end() - whole_shared() - canary; }
  std::byte* shared_end() const { return shared_begin() + launch.shared_bytes; }
  std::uint32_t whole_shared() const {
    return (launch.shared_bytes + alignment - 1) / alignment * alignment;
  }

  const Launch launch;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  Guarded shared;
  std::vector<std::uint32_t> order;  // in which threads get their turn
  std::mt19937 random{20240611};
  std::uint32_t index = 0;    // of the block
  std::uint32_t current = 0;  // the thread that runs
  void* scheduler = nullptr;  // its stack while a thread runs
  bool failed = false;
};

Block* block = nullptr;  // of the launch under way
char text[320];

// The end of thread i's stack; kept from launch to launch.
std::byte* stack_end(std::uint32_t i) {
  static std::vector<std::unique_ptr<Guarded>> stacks;
  while (stacks.size() <= i) stacks.push_back(std::make_unique<Guarded>(stack_bytes));
  return stacks[i]->end();
}

Thread& self() { return block->threads[block->current]; }

__attribute__((format(printf, 1, 2))) void say(const char* format, ...) {
  if (block->failed) return;
  block->failed = true;
  std::va_list arguments;
  va_start(arguments, format);
  const int length = std::snprintf(text, sizeof text, "block %u: ", block->index);
  std::vsnprintf(text + length, sizeof text - static_cast<std::size_t>(length), format, arguments);
  va_end(arguments);
}

void yield() { volt_emulator_switch(&self().stack, block->scheduler); }

// A failed thread never goes on: its stack is used again by the next block.
[[noreturn]] void leave_for_good() {
  self().state = State::returned;
  yield();
  __builtin_unreachable();
}

void enter() {
  block->launch.body(block->launch.kernel, block->shared_begin());
  if (!self().copies.empty()) say("thread %u returns before its copies arrive", block->current);
  leave_for_good();
}

void start(std::uint32_t i) {
  Thread& thread = block->threads[i];
  thread.state = State::ready;
  thread.batches = 0;
  thread.copies.clear();
  // as volt_emulator_switch leaves it: six registers, then where to go on; the stack pointer is 8
  // off a multiple of 16 when a function begins
  void** top = reinterpret_cast<void**>(stack_end(i)) - 2;
  *top = reinterpret_cast<void*>(enter);
  thread.stack = top - 6;
  std::memset(thread.stack, 0, 6 * sizeof(void*));
}

// Whole warps in random order and their threads too; a warp's threads stay together, for speed.
void shuffle_threads() {
  std::vector<std::uint32_t>& order = block->order;
  for (std::size_t w = order.size() / warp_size; w-- > 0;) {
    const std::size_t other = block->random() % (w + 1);
    std::swap_ranges(&order[w * warp_size], &order[w * warp_size] + warp_size,
                     &order[other * warp_size]);
    std::shuffle(&order[w * warp_size], &order[w * warp_size] + warp_size, block->random);
  }
}

const char* place_of(std::uint32_t i) {
  switch (block->threads[i].state) {
    case State::at_barrier:
      return "waits in sync_block";
    case State::in_meeting:
      return "waits for its warp";
    case State::returned:
      return "has returned";
    case State::ready:
      break;
  }
  return "runs";
}

// Nobody can go on: names the first two neighbours that are not at the same place.
void report_stuck() {
  const auto count = static_cast<std::uint32_t>(block->threads.size());
  std::uint32_t i = 1;
  while (i + 1 < count && block->threads[i].state == block->threads[i - 1].state) ++i;
  say("thread %u %s, thread %u %s", i - 1, place_of(i - 1), i, place_of(i));
}

// Whether the block has come to its end; lets everyone pass a barrier that all have reached.
bool finished() {
  const auto all_are = [](State state) {
    return std::all_of(block->threads.begin(), block->threads.end(),
                       [&](const Thread& thread) { return thread.state == state; });
  };
  if (all_are(State::returned)) return true;
  if (!all_are(State::at_barrier)) {
    report_stuck();
    return true;
  }
  for (Thread& thread : block->threads) thread.state = State::ready;
  shuffle_threads();
  return false;
}

void check_canary() {
  const std::byte* end = block->shared_end();
  for (const std::byte* at = end; at < block->shared.end(); ++at) {
    if (*at != std::byte{garbage}) {
      say("shared memory is overrun at byte %td", at - block->shared_begin());
      return;
    }
  }
}

void run_block(std::uint32_t index) {
  block->index = index;
  std::memset(block->shared_begin(), garbage,
              static_cast<std::size_t>(block->shared.end() - block->shared_begin()));
  for (std::uint32_t i = 0; i < block->threads.size(); ++i) start(i);
  for (Warp& warp : block->warps) warp.arrived = 0;
  shuffle_threads();
  while (!block->failed) {
    bool progress = false;
    for (std::uint32_t i : block->order) {
      if (block->threads[i].state != State::ready) continue;
      progress = true;
      block->current = i;
      volt_emulator_switch(&block->scheduler, block->threads[i].stack);
      if (block->failed) return;
    }
    if (!progress && finished()) break;
  }
  if (!block->failed) check_canary();
}

// `bytes` bytes at `at`, a multiple of `alignment`, in the block's shared memory.
void check_shared(const char* what, const void* at, std::uint32_t bytes, std::uint32_t alignment) {
  const auto* first = static_cast<const std::byte*>(at);
  if (first < block->shared_begin() || first + bytes > block->shared_end()) {
    say("thread %u: %s outside of shared memory", block->current, what);
  } else if (reinterpret_cast<std::uintptr_t>(at) % alignment != 0) {
    say("thread %u: %s not aligned to %u bytes", block->current, what, alignment);
  }
  if (block->failed) leave_for_good();
}

void arrive(const Copy& copy) {
  std::memcpy(copy.to, copy.from, copy.bytes);
  std::memset(copy.to + copy.bytes, 0, copy.size - copy.bytes);
}

}  // namespace

Status run(const Launch& launch) {
  if (launch.shared_bytes > max_shared_bytes(launch.capability)) {
    return {Status::invalid, "a block asks for more shared memory than there is"};
  }
  if (launch.blocks > 0x7fffffff) return {Status::invalid, "more blocks than a GPU counts"};
  Block here(launch);
  block = &here;
  std::vector<std::uint32_t> indices(launch.blocks);
  std::iota(indices.begin(), indices.end(), 0u);
  std::shuffle(indices.begin(), indices.end(), here.random);
  for (std::uint32_t index : indices) {
    run_block(index);
    if (here.failed) break;
  }
  block = nullptr;
  if (here.failed) return {Status::failed, text};
  return {};
}

std::uint32_t max_shared_bytes(std::uint32_t capability) {
  return (capability < 80 ? 64 : 163) * 1024;
}

std::uint32_t thread_index() { return block->current; }
std::uint32_t block_index() { return block->index; }
std::uint32_t block_count() { return static_cast<std::uint32_t>(block->launch.blocks); }

void sync_block() {
  self().state = State::at_barrier;
  yield();
}

Slot* meet(const char* what, const void* own, std::uint32_t bytes, void (*act)(Slot* slots)) {
  const std::uint32_t first = block->current / warp_size * warp_size;
  Warp& warp = block->warps[first / warp_size];
  if (warp.arrived != 0 && warp.what != what && std::strcmp(warp.what, what) != 0) {
    say("thread %u calls %s while its warp calls %s", block->current, what, warp.what);
    leave_for_good();
  }
  warp.what = what;
  Slot* slots = warp.slots[warp.turn];
  if (bytes != 0) std::memcpy(slots[block->current - first].bytes, own, bytes);
  if (++warp.arrived < warp_size) {
    self().state = State::in_meeting;
    yield();
    return slots;
  }
  if (act != nullptr) act(slots);
  warp.arrived = 0;
  warp.turn ^= 1;
  for (std::uint32_t i = first; i < first + warp_size; ++i) block->threads[i].state = State::ready;
  return slots;
}

void copy(const void* shared, const void* global, std::uint32_t size, std::uint32_t bytes,
          bool later) {
  check_shared("copies", shared, size, size);
  if (reinterpret_cast<std::uintptr_t>(global) % size != 0 || bytes > size) {
    say("thread %u copies %u of %u bytes from an address that is not aligned to them",
        block->current, bytes, size);
    leave_for_good();
  }
  std::byte* to =
      block->shared_begin() + (static_cast<const std::byte*>(shared) - block->shared_begin());
  const Copy made = {to, static_cast<const std::byte*>(global), size, bytes, self().batches};
  if (!later) return arrive(made);
  std::memset(to, garbage, size);  // who still reads what was here before shall notice
  self().copies.push_back(made);
}

void commit_copies() { ++self().batches; }

void wait_for_copies(std::uint32_t newest) {
  Thread& thread = self();
  const auto due = [&](const Copy& copy) { return copy.batch + newest < thread.batches; };
  const auto rest = std::find_if_not(thread.copies.begin(), thread.copies.end(), due);
  std::for_each(thread.copies.begin(), rest, arrive);
  thread.copies.erase(thread.copies.begin(), rest);
}

// ---- products of a warp

namespace {

// What each lane brings to a product of `rows` x `depth` by `depth` x 8; it takes `c` away.
template <int rows, int depth>
struct Fragments {
  std::uint32_t a[rows * depth / 128], b[depth / 16];
  std::int32_t c[rows / 4];
};

std::int16_t byte_of(std::uint32_t word, std::uint32_t i) {
  return static_cast<std::int8_t>(static_cast<std::uint8_t>(word >> (8 * i)));
}

// The matrices that the fragments of all lanes make up.
template <int rows, int depth>
void multiply(Slot* slots) {
  Fragments<rows, depth> lanes[warp_size];
  for (std::uint32_t l = 0; l < warp_size; ++l) {
    std::memcpy(&lanes[l], slots[l].bytes, sizeof lanes[l]);
  }
  std::int16_t a[rows][depth], b[8][depth];  // b by columns
  for (std::uint32_t l = 0; l < warp_size; ++l) {
    const std::uint32_t row = l / 4, k = l % 4 * 4;
    for (std::uint32_t half = 0; half < depth / 16; ++half) {
      for (std::uint32_t i = 0; i < 4; ++i) {
        b[row][16 * half + k + i] = byte_of(lanes[l].b[half], i);
        for (std::uint32_t lower = 0; lower < rows / 8; ++lower) {
          a[8 * lower + row][16 * half + k + i] = byte_of(lanes[l].a[2 * half + lower], i);
        }
      }
    }
  }
  for (std::uint32_t l = 0; l < warp_size; ++l) {
    for (std::uint32_t i = 0; i < rows / 4; ++i) {
      const std::uint32_t row = l / 4 + i / 2 * 8, column = l % 4 * 2 + i % 2;
      std::int32_t sum = 0;
      for (int k = 0; k < depth; ++k) sum += a[row][k] * b[column][k];
      lanes[l].c[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(lanes[l].c[i]) +
                                                static_cast<std::uint32_t>(sum));
    }
    std::memcpy(slots[l].bytes, &lanes[l], sizeof lanes[l]);
  }
}

template <int rows, int depth>
void meet_to_multiply(const char* what, Fragments<rows, depth> mine, std::int32_t* d) {
  const Slot* slots = meet(what, &mine, sizeof mine, multiply<rows, depth>);
  std::memcpy(&mine, slots[block->current % warp_size].bytes, sizeof mine);
  std::copy_n(mine.c, rows / 4, d);
}

}  // namespace

void multiply_16x8x32(std::int32_t* d, const std::uint32_t* a, const std::uint32_t* b,
                      const std::int32_t* c) {
  meet_to_multiply<16, 32>("multiply_16x8x32",
                           {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}, {c[0], c[1], c[2], c[3]}}, d);
}

void multiply_8x8x16(std::int32_t* d, std::uint32_t a, std::uint32_t b, const std::int32_t* c) {
  meet_to_multiply<8, 16>("multiply_8x8x16", {{a}, {b}, {c[0], c[1]}}, d);
}

void load_matrices(std::uint32_t* to, const void* row) {
  check_shared("load_matrices", row, 16, 16);
  const Slot* slots = meet("load_matrices", &row, sizeof row, nullptr);
  const std::uint32_t lane = block->current % warp_size;
  for (std::uint32_t i = 0; i < 4; ++i) {
    const std::byte* from = nullptr;
    std::memcpy(&from, slots[8 * i + lane / 4].bytes, sizeof from);
    std::memcpy(&to[i], from + lane % 4 * 4, 4);
  }
}

}  // namespace volt::kernels::emulator

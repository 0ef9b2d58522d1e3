// SPDX-License-Identifier: Apache-2.0

// Contexts and their memory, wherever that lies.

#include <cstdio>
#include <new>

#include "check.hpp"

namespace volt::kernels {
namespace {

struct Figure {
  char text[32];
};

// Bytes in decimal units. What is needed is rounded up and what there is down, so that a refusal
// never reads "needs 32 MB, the limit is 32 MB".
Figure figure(std::uint64_t bytes, bool up) {
  static const char* const units[] = {"B", "kB", "MB", "GB"};
  std::uint64_t value = bytes;
  int unit = 0;
  for (std::uint64_t scale = 1; unit < 3 && value >= 10'000; ++unit) {
    scale *= 1000;
    value = bytes / scale + (up && bytes % scale != 0 ? 1 : 0);
  }
  // 2000 kB reads better as 2 MB, but only where nothing is lost
  while (unit < 3 && unit > 0 && value >= 1000 && value % 1000 == 0) value /= 1000, ++unit;
  Figure result;
  std::snprintf(result.text, sizeof result.text, "%" PRIu64 " %s", value, units[unit]);
  return result;
}

const Store& store_of(const Context* context) { return *context->engine.store; }

void close_context(Context* context) { delete context; }

bool count_memory(Context& context, std::uint64_t bytes) {
  std::uint64_t used = context.used.load();
  do {
    if (context.limit != 0 && (used > context.limit || bytes > context.limit - used)) return false;
  } while (!context.used.compare_exchange_weak(used, used + bytes));
  return true;
}

Status beyond_limit(const Context& context, std::uint64_t bytes) {
  const std::uint64_t used = context.used.load();
  const Figure more = figure(bytes, true), limit = figure(context.limit, false);
  if (used == 0) {
    return say(Status::out_of_memory, "needs %s more, the limit is %s", more.text, limit.text);
  }
  return say(Status::out_of_memory, "needs %s more, the limit is %s, of which %s are in use",
             more.text, limit.text, figure(used, true).text);
}

void destroy(Context* context, Buffer* buffer) {
  if (buffer == nullptr) return;
  if (buffer->taken != nullptr) {
    Turn turn(*context);
    store_of(context).release(*context, buffer->taken);
    turn.end();  // what goes wrong here, a later call says too
  }
  context->used -= buffer->counted;
  delete buffer;
}

// Memory of the context's own, zeroed.
Status take(Context* context, std::uint64_t bytes, Buffer& buffer) {
  if (!count_memory(*context, bytes)) return beyond_limit(*context, bytes);
  buffer.bytes = buffer.counted = bytes;
  Turn turn(*context);
  ++context->changes;
  buffer.taken = store_of(context).take(*context, bytes);
  buffer.data = buffer.writable = buffer.taken;
  const Status status = turn.end();
  if (status.code != Status::ok || buffer.taken != nullptr) return status;
  return say(Status::out_of_memory, "needs %s more, which %s does not have",
             figure(bytes, true).text, store_of(context).owner);
}

// `fill` makes the new buffer something; without success there is none.
template <class Fill>
Status make(Context* context, Buffer** buffer, Fill fill) {
  *buffer = nullptr;
  Buffer* made = new (std::nothrow) Buffer;
  if (made == nullptr) return say(Status::out_of_memory, "no memory left for a buffer");
  const Status status = fill(*made);
  if (status.code == Status::ok) {
    *buffer = made;
  } else {
    destroy(context, made);
  }
  return status;
}

Status create(Context* context, std::uint64_t bytes, Buffer** buffer) {
  return make(context, buffer, [&](Buffer& made) { return take(context, bytes, made); });
}

Status borrow(Context* context, const void* host, std::uint64_t bytes, Buffer** buffer) {
  *buffer = nullptr;
  if (host == nullptr && bytes != 0) {
    return say(Status::invalid, "there are no %" PRIu64 " bytes to borrow at null", bytes);
  }
  return make(context, buffer, [&](Buffer& made) -> Status {
    if (store_of(context).is_host) {
      made.data = static_cast<const std::byte*>(host);
      made.bytes = bytes;
      return {};
    }
    if (const Status status = take(context, bytes, made); status.code != Status::ok) return status;
    made.writable = nullptr;  // as on a CPU
    Turn turn(*context);
    if (bytes != 0) store_of(context).upload(*context, made.taken, host, bytes);
    return turn.end();
  });
}

// Calls `move` when the arguments are good and there is something to be done.
template <class Move>
Status perform(Context* context, const Check& check, std::uint64_t bytes, Move move) {
  if (check.failed() || bytes == 0) return check.status();
  Turn turn(*context);
  move(store_of(context));
  return turn.end();
}

Status upload(Context* context, Buffer* buffer, std::uint64_t offset_bytes, const void* host,
              std::uint64_t bytes) {
  Check check;
  std::byte* to = check.range<std::byte>("upload", buffer, offset_bytes, bytes);
  if (host == nullptr && bytes != 0) check.invalid("upload from null");
  return perform(context, check, bytes, [&](const Store& store) {
    ++context->changes;
    store.upload(*context, to, host, bytes);
  });
}

Status download(Context* context, const Buffer* buffer, std::uint64_t offset_bytes, void* host,
                std::uint64_t bytes) {
  Check check;
  const auto* from = check.range<const std::byte>("download", buffer, offset_bytes, bytes);
  if (host == nullptr && bytes != 0) check.invalid("download to null");
  return perform(context, check, bytes,
                 [&](const Store& store) { store.download(*context, from, host, bytes); });
}

Status copy(Context* context, const Buffer* from, std::uint64_t from_offset_bytes, Buffer* to,
            std::uint64_t to_offset_bytes, std::uint64_t bytes) {
  Check check;
  const auto* source = check.range<const std::byte>("from", from, from_offset_bytes, bytes);
  auto* target = check.range<std::byte>("to", to, to_offset_bytes, bytes);
  check.apart("to", line(target, bytes), "from", line(source, bytes));
  return perform(context, check, bytes, [&](const Store& store) {
    ++context->changes;
    store.copy(*context, source, target, bytes);
  });
}

Status compare(Context* context, const Buffer* a, std::uint64_t a_offset_bytes, const Buffer* b,
               std::uint64_t b_offset_bytes, std::uint64_t bytes, std::uint64_t* first) {
  Check check;
  const auto* x = check.range<const std::uint8_t>("a", a, a_offset_bytes, bytes);
  const auto* y = check.range<const std::uint8_t>("b", b, b_offset_bytes, bytes);
  *first = bytes;
  return perform(context, check, bytes,
                 [&](const Store&) { *first = context->engine.compare(*context, x, y, bytes); });
}

}  // namespace

void add_buffers(Backend& backend) {
  backend.close = close_context;
  backend.create = create;
  backend.borrow = borrow;
  backend.destroy = destroy;
  backend.upload = upload;
  backend.download = download;
  backend.copy = copy;
  backend.compare = compare;
}

}  // namespace volt::kernels

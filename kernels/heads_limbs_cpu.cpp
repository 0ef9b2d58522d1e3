// SPDX-License-Identifier: Apache-2.0

// Attention on a CPU whose products are of limbs. Groups of keys and of queries are counted from
// the sample's first row, and the work is cut between them.

#include "heads_cpu.hpp"
#include "ieee.hpp"

namespace volt::kernels {
namespace {

// What pieces of memory take, or, once there is some, where they are.
struct Layout {
  template <class T>
  T* take(std::uint64_t count) {
    const std::uint64_t at = floats;
    floats += ceil_div(count * sizeof(T), line_floats * sizeof(float)) * line_floats;
    return memory == nullptr ? nullptr : reinterpret_cast<T*>(memory + at);
  }
  float* memory = nullptr;
  std::uint64_t floats = 0;
};

struct LimbShape : Shape {
  template <class Job>
  LimbShape(const Job& job, const Loops& loops)
      : Shape(job, loops), words(kernels::group / loops.unit) {}

  static std::uint64_t groups(std::uint64_t k) { return ceil_div(k, kernels::group); }

  PackedLimbs packed(Layout& layout, std::uint64_t lanes, std::uint64_t k) const {
    const std::uint64_t room = ceil_div(lanes, tile_cols) * tile_cols * groups(k);
    PackedLimbs packed;
    packed.words = layout.take<std::uint32_t>(2 * words * room);
    packed.start = layout.take<std::int32_t>(2 * room);
    packed.scales = layout.take<float>(room);
    return packed;
  }

  HeadLimbs head(Layout& layout, std::uint64_t rows, bool across, bool down) const {
    HeadLimbs head = {};
    head.high = layout.take<std::int8_t>(rows * d);
    head.low = layout.take<std::int8_t>(rows * d);
    head.scales = layout.take<float>(rows);
    if (across) head.across = packed(layout, rows, d);
    if (down) head.down = packed(layout, d, rows);
    head.tile_groups = groups(rows);
    head.tile_words = 2 * words * head.tile_groups;
    return head;
  }

  TileRoom tile(Layout& layout, std::uint64_t keys) const {
    const std::uint64_t longest = groups(std::max(keys, d));  // of the sides
    const std::uint64_t lane_groups = tile_rows * std::max(longest, keys_at_a_time);
    TileRoom room = {};
    room.stride = stride(keys);
    room.weights =
        layout.take<float>(tile_rows * std::max(room.stride, keys_at_a_time * kernels::group));
    room.high = layout.take<std::int8_t>(lane_groups * kernels::group);
    room.low = layout.take<std::int8_t>(lane_groups * kernels::group);
    room.scales = layout.take<float>(lane_groups);
    room.words = layout.take<std::uint32_t>(2 * words * lane_groups);
    room.packed_scales = layout.take<float>(lane_groups);
    room.sums = layout.take<float>(tile_rows * d);
    return room;
  }

  std::uint64_t words;  // of a group
};

// Tile rooms for threads, behind all else.
struct TileRooms {
  TileRoom operator[](std::uint64_t slot) const {
    Layout at = {memory, slot * tile_floats()};
    return shape.tile(at, keys);
  }
  std::uint64_t tile_floats() const {
    Layout one;
    shape.tile(one, keys);
    return one.floats;
  }
  const LimbShape& shape;
  std::uint64_t keys;
  float* memory;
};

// A head's rows from the matrix's row `first` on.
const float* head_at(const View<const float>& x, std::uint64_t first, std::uint64_t head,
                     std::uint64_t d) {
  return x.data + first * x.stride + head * d;
}

struct Forward {
  Context& context;
  const Attention<Checked>& job;
  LimbShape shape;

  SampleLimbs sample(Layout& layout, std::uint64_t keys) const {
    return {0, 0, keys, shape.head(layout, keys, true, false),
            shape.head(layout, keys, false, true)};
  }
  std::uint64_t floats(std::uint64_t keys, std::uint64_t threads) const {
    Layout layout;
    sample(layout, keys);
    return layout.floats + threads * TileRooms{shape, keys, nullptr}.tile_floats();
  }

  void work(const Run& run, std::uint64_t kv_head, Room room, bool shared) const {
    const NetworkLoops& loops = network_loops_of(context);
    const std::uint64_t keys = run.keys(), d = shape.d, tile = shape.tile_rows;
    Layout layout = {room.next};
    SampleLimbs now = sample(layout, keys);
    now.kv_head = kv_head, now.first = run.first;
    const TileRooms rooms = {shape, keys, room.next + layout.floats};
    const float* const k = head_at(job.k, run.first, kv_head, d);
    const float* const v = head_at(job.v, run.first, kv_head, d);
    in_pieces(context, keys, group, shared, [&](std::uint64_t row, std::uint64_t count) {
      loops.limbs_of_rows(now.k, k, job.k.stride, d, row, count);
      loops.limbs_of_rows(now.v, v, job.v.stride, d, row, count);
      loops.pack_across(now.k, d, row, keys);
      loops.pack_down(now.v, d, row, keys);
    });
    const std::uint64_t tiles = ceil_div(run.queries(), tile);
    in_slots(context, shape.group * tiles, shared, [&](std::uint64_t i, std::uint64_t slot) {
      // The last tiles, which see most, first.
      const std::uint64_t row = run.begin + (tiles - 1 - i / shape.group) * tile;
      loops.attend_limbs(job, now, rooms[slot], kv_head * shape.group + i % shape.group, row,
                         std::min(tile, run.end - row));
    });
  }
};

struct Backward {
  Context& context;
  const AttentionBackward<Checked>& job;
  LimbShape shape;

  struct Unit {
    SampleLimbs sample;
    LimbStripe stripe;
  };
  Unit unit(Layout& layout, std::uint64_t keys) const {
    Unit unit = {};
    unit.sample.keys = keys;
    unit.sample.k = shape.head(layout, keys, true, true);
    unit.sample.v = shape.head(layout, keys, true, false);
    unit.stripe.stride = shape.stride(keys);
    for (float** weights : {&unit.stripe.p, &unit.stripe.ds}) {
      *weights = layout.take<float>(group * unit.stripe.stride);
    }
    for (HeadLimbs* queries : {&unit.stripe.q, &unit.stripe.dout}) {
      *queries = shape.head(layout, group, false, true);
    }
    for (float** sums : {&unit.stripe.dk, &unit.stripe.dv}) {
      *sums = layout.take<float>(keys * shape.d);
    }
    return unit;
  }
  std::uint64_t floats(std::uint64_t keys, std::uint64_t threads) const {
    Layout layout;
    unit(layout, keys);
    return layout.floats + threads * TileRooms{shape, keys, nullptr}.tile_floats();
  }

  void work(const Run& run, std::uint64_t kv_head, Room room, bool shared) const {
    const NetworkLoops& loops = network_loops_of(context);
    const std::uint64_t keys = run.keys(), d = shape.d;
    Layout layout = {room.next};
    Unit now = unit(layout, keys);
    SampleLimbs& sample = now.sample;
    sample.kv_head = kv_head, sample.first = run.first;
    const TileRooms rooms = {shape, keys, room.next + layout.floats};
    const float* const k = head_at(job.k, run.first, kv_head, d);
    const float* const v = head_at(job.v, run.first, kv_head, d);
    in_pieces(context, keys, group, shared, [&](std::uint64_t row, std::uint64_t count) {
      loops.limbs_of_rows(sample.k, k, job.k.stride, d, row, count);
      loops.limbs_of_rows(sample.v, v, job.v.stride, d, row, count);
      loops.pack_across(sample.k, d, row, keys);
      loops.pack_across(sample.v, d, row, keys);
      loops.pack_down(sample.k, d, row, keys);
    });
    LimbStripe& stripe = now.stripe;
    for (std::uint64_t head = kv_head * shape.group; head < (kv_head + 1) * shape.group; ++head) {
      std::fill_n(stripe.dk, keys * d, 0.0f);
      std::fill_n(stripe.dv, keys * d, 0.0f);
      stripe.head = head;
      for (stripe.begin = run.begin; stripe.begin < run.end; stripe.begin = stripe.end) {
        const std::uint64_t groups = (stripe.begin - run.first) / group + 1;
        stripe.end = std::min(run.first + groups * group, run.end);
        over(sample, stripe, rooms, shared);
      }
      in_pieces(context, keys, group, shared, [&](std::uint64_t key, std::uint64_t count) {
        add(stripe.dk, job.dk, sample, key, count);
        add(stripe.dv, job.dv, sample, key, count);
      });
    }
  }

  void over(const SampleLimbs& sample, const LimbStripe& stripe, const TileRooms& rooms,
            bool shared) const {
    const NetworkLoops& loops = network_loops_of(context);
    const std::uint64_t d = shape.d, queries = stripe.end - stripe.begin, tile = shape.tile_rows;
    const float* const q = head_at(job.q, stripe.begin - shape.before, stripe.head, d);
    const float* const dout = head_at(job.dout, stripe.begin - shape.before, stripe.head, d);
    in_pieces(context, queries, tile, shared, [&](std::uint64_t row, std::uint64_t count) {
      loops.limbs_of_rows(stripe.q, q, job.q.stride, d, row, count);
      loops.limbs_of_rows(stripe.dout, dout, job.dout.stride, d, row, count);
    });
    const std::uint64_t tiles = ceil_div(queries, tile);
    in_slots(context, tiles + 1, shared, [&](std::uint64_t i, std::uint64_t slot) {
      if (i == tiles) {
        loops.pack_down(stripe.q, d, 0, queries);
        loops.pack_down(stripe.dout, d, 0, queries);
      } else {
        loops.attend_queries_limbs(job, sample, stripe, rooms[slot], stripe.begin + i * tile,
                                   std::min(tile, queries - i * tile));
      }
    });
    const std::uint64_t keys = stripe.end - sample.first, most = keys_at_a_time * tile;
    in_slots(context, ceil_div(keys, most), shared, [&](std::uint64_t i, std::uint64_t slot) {
      loops.attend_keys_limbs(job, stripe, rooms[slot], i * most, std::min(most, keys - i * most));
    });
  }

  // to += sums of the sample's keys.
  void add(const float* sums, const View<float>& to, const SampleLimbs& sample, std::uint64_t key,
           std::uint64_t count) const {
    for (std::uint64_t i = key; i < key + count; ++i) {
      float* const row = to.data + (sample.first + i) * to.stride + sample.kv_head * shape.d;
      for (std::uint64_t j = 0; j < shape.d; ++j)
        row[j] = canonical(row[j] + sums[i * shape.d + j]);
    }
  }
};

}  // namespace

bool cpu_attention_limbs(Context& context, const Attention<Checked>& job) {
  return on_units<Forward>(context, job);
}

bool cpu_attention_backward_limbs(Context& context, const AttentionBackward<Checked>& job) {
  return on_units<Backward>(context, job);
}

}  // namespace volt::kernels

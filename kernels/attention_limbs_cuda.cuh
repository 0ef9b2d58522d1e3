// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "limb_tiles_cuda.cuh"
#include "network_functions.hpp"

/// What the kernels of attention by limbs share: a block owns queries or keys and walks along the
/// others in the groups of 128 that the definition has, sample by sample of those that its rows
/// belong to.
namespace volt::kernels {
inline namespace VOLT_ISA {
namespace limb_tiles {

/// Those rows of a block's own that belong to one sample: [begin, end).
struct Segment {
  int begin, end;
};

/// The operands, of which a kernel has those that it needs. Rows are fewer than 2^30.
struct LimbHeads {
  LimbLines q, k, v, dout;
  View<const std::uint32_t> first;
  int queries, keys;
  std::uint32_t heads, kv_heads;
  int d;
  float scale;
  View<const float> m, l;
  const float* t;  // [queries, heads]

  VOLT_DEVICE int before() const { return keys - queries; }
  VOLT_DEVICE std::uint32_t group() const { return heads / kv_heads; }
  VOLT_DEVICE int first_of(int row) const {
    return static_cast<int>(first.data[row * first.stride]);
  }
  /// Behind the last row of row's sample: the rows of a sample lie together.
  VOLT_DEVICE int end_of(int row) const {
    const int sample = first_of(row);
    int in = row, out = keys;
    while (out - in > 1) {
      const int middle = in + (out - in) / 2;
      (first_of(middle) == sample ? in : out) = middle;
    }
    return out;
  }
};

/// A block's tile of queries, or of keys.
template <bool owns_queries_, int warps, int width>
struct Walk {
  static constexpr bool owns_queries = owns_queries_;
  using Of = Tiles<warps, width>;

  /// Blocks with the most to walk come first: late queries, and early keys.
  VOLT_DEVICE Walk(const LimbHeads& h, std::uint32_t chunks) : heads(h) {
    const std::uint32_t sides = owns_queries ? h.heads : h.kv_heads;
    const std::uint32_t rest = block_index() / chunks, tiles = block_count() / (chunks * sides);
    const std::uint32_t tile = owns_queries ? tiles - 1 - rest / sides : rest / sides;
    const int all = owns_queries ? h.queries : h.keys;
    first = static_cast<int>(tile) * Of::rows;
    count = all - first < Of::rows ? all - first : Of::rows;
    head = rest % sides;
    column = static_cast<int>(block_index() % chunks) * width;
  }

  /// body(segment, group) for each group of each sample that the block's rows belong to, of which
  /// any of these is seen or sees.
  template <class Body>
  VOLT_DEVICE void each_group(Body body) const {
    const int before = owns_queries ? heads.before() : 0;  // own rows are those of k, less these
    for (int row = before + first; row < before + first + count;) {
      const int last = heads.end_of(row), sample = heads.first_of(row);
      const int end = last < before + first + count ? last : before + first + count;
      const Segment segment = {row - before - first, end - before - first};
      if constexpr (owns_queries) {
        for (int at = sample; at < end; at += lines) {
          body(segment, Group{at, 0, end - at < lines ? end - at : lines});
        }
      } else {
        // Queries from the first on that there are, and that see a key of the block.
        const int seeing = row > heads.before() ? row : heads.before();
        for (int at = sample + (seeing - sample) / lines * lines; seeing < last && at < last;
             at += lines) {
          const int begin = at < heads.before() ? heads.before() - at : 0;
          body(segment, Group{at - heads.before(), begin, last - at < lines ? last - at : lines});
        }
      }
      row = end;
    }
  }

  /// Whether one of the block's rows and a line of the group see each other.
  VOLT_DEVICE bool sees(const Segment& segment, const Group& group, int own, int line) const {
    if (own < segment.begin || own >= segment.end || line < group.begin || line >= group.end) {
      return false;
    }
    return owns_queries ? group.row + line <= heads.before() + first + own
                        : first + own <= heads.before() + group.row + line;
  }

  const LimbHeads& heads;
  int first, count;    ///< rows that the block owns
  std::uint32_t head;  ///< of these
  int column;          ///< the first that it gives of the head's result
};

/// The blocks of Kernel for all rows and heads of a side.
template <class Kernel>
Status launch_walks(CudaStream stream, Kernel kernel, int rows, std::uint32_t sides, int d) {
  kernel.chunks = static_cast<std::uint32_t>((d - 1) / Kernel::Of::width + 1);
  const auto tiles = static_cast<std::uint64_t>((rows - 1) / Kernel::Of::rows + 1);
  return launch(stream, tiles * sides * kernel.chunks, kernel);
}

}  // namespace limb_tiles

/// What the heads of a matrix take as limbs; where they are, in memory at `at`, which is moved
/// behind them; and they themselves.
std::uint64_t limb_bytes(const View<const float>& x, std::uint32_t heads);
limb_tiles::LimbLines take_limbs(std::byte*& at, const View<const float>& x, std::uint32_t heads);
Status make_limbs(CudaStream stream, const View<const float>& x, const limb_tiles::LimbLines& to);

template <class Job>
limb_tiles::LimbHeads limb_heads(const Job& job) {
  limb_tiles::LimbHeads heads = {};
  heads.first = job.first;
  heads.queries = static_cast<int>(job.q.rows), heads.keys = static_cast<int>(job.k.rows);
  heads.heads = job.heads, heads.kv_heads = job.kv_heads;
  heads.d = static_cast<int>(job.q.cols / job.heads);
  heads.scale = job.scale;
  return heads;
}

}  // namespace VOLT_ISA
}  // namespace volt::kernels

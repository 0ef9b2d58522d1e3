// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device_cuda.cuh"

/// The two products that attention is made of, on tiles in registers of 128 threads: scores, chains
/// over the features of pairs of lines, and what they weigh, chains over lines. Operands come by
/// slabs of 16 through shared memory, one slab ahead. Changes no bit.
namespace volt::kernels {
inline namespace VOLT_ISA {

/// Neighbouring rows of a matrix, from their first column that counts.
struct LinesAt {
  const float* data;
  std::uint64_t stride;
  int count;
};

struct alignas(16) Four {
  float at[4];
};

/// A block owns `rows` lines and walks along others, `walk` of them at a time; what the weights
/// come to is `width` columns wide.
template <int rows_, int width_>
struct AttentionTiles {
  static constexpr int rows = rows_, width = width_, walk = 128, depth = 16;
  static constexpr int threads = 128, parts = 16;  // of a row
  // Of a thread: 2 x 2 warps have 4 x 8 threads each.
  static constexpr int own = rows / 8, across = walk / 16, wide = width / 16;

  struct Stage {
    alignas(16) float a[depth][rows + 4];
    alignas(16) float b[depth][walk + 4];
  };
  struct Shared {
    Stage stage[2];
    alignas(16) float weight[walk][rows + 4];
  };

  /// Where a thread's elements are: row(i), and column(j) of a tile of `columns`. In fours, rows 16
  /// and columns 32 apart, so that eight lanes read 2 fours of A and 4 of B.
  struct Place {
    VOLT_DEVICE Place()
        : warp(static_cast<int>(thread_index() / 32)),
          lane(static_cast<int>(thread_index() % 32)) {}
    VOLT_DEVICE int row(int i) const {
      return warp / 2 * (rows / 2) + (lane / 16 * 2 + lane % 2) * 4 + i / 4 * 16 + i % 4;
    }
    template <int columns>
    VOLT_DEVICE int column(int j) const {
      return warp % 2 * (columns / 2) + slot() * 4 + j / 4 * 32 + j % 4;
    }
    VOLT_DEVICE int slot() const { return lane / 2 % 8; }
    VOLT_DEVICE int part() const { return warp % 2 * 8 + slot(); }  ///< of `parts`
    int warp, lane;
  };

  VOLT_DEVICE AttentionTiles(Shared& s, int features) : shared(s), d(features) {}

  /// acc = chains over features, of `rows` lines by `walk` lines. Elements of lines that are not
  /// there come out as anything.
  VOLT_DEVICE void scores(float (&acc)[own][across], const LinesAt& a, const LinesAt& b) {
    VOLT_UNROLL
    for (int i = 0; i < own; ++i) {
      VOLT_UNROLL
      for (int j = 0; j < across; ++j) acc[i][j] = 0.0f;
    }
    const auto copy = [&](Stage& to, int feature) {
      const int left = d - feature;
      turned<rows>(&to.a[0][0], a, feature, left);
      turned<walk>(&to.b[0][0], b, feature, left);
    };
    by_slabs(d, copy, [&](const Stage& stage, int e, int) {
      step(acc, &stage.a[e][place.row(0)], &stage.b[e][place.template column<walk>(0)]);
    });
  }

  /// acc += shared.weight by lines, of which `columns` are there, in ascending order. `fours`: all
  /// are at multiples of 16 bytes. Where sees(row, line) is false, nothing is added, be it 0 times
  /// infinity.
  template <class Sees>
  VOLT_DEVICE void weigh(float (&acc)[own][wide], const LinesAt& lines, int columns, bool fours,
                         bool all_seen, Sees sees) {
    const auto copy = [&](Stage& to, int first) { straight(to, lines, first, columns, fours); };
    if (all_seen) {
      by_slabs(lines.count, copy, [&](const Stage& stage, int e, int line) {
        step(acc, &shared.weight[line][place.row(0)], &stage.b[e][place.template column<width>(0)]);
      });
      return;
    }
    by_slabs(lines.count, copy, [&](const Stage& stage, int e, int line) {
      VOLT_UNROLL
      for (int i = 0; i < own; ++i) {
        if (!sees(place.row(i), line)) continue;
        const float weight = shared.weight[line][place.row(i)];
        VOLT_UNROLL
        for (int j = 0; j < wide; ++j) {
          acc[i][j] = fused(weight, stage.b[e][place.template column<width>(j)], acc[i][j]);
        }
      }
    });
  }

  /// shared.weight by the scores' places, [line][row].
  VOLT_DEVICE void keep(const float (&acc)[own][across]) {
    VOLT_UNROLL
    for (int j = 0; j < across; ++j) {
      VOLT_UNROLL
      for (int i = 0; i < own; i += 4) {
        four_of(shared.weight[place.template column<walk>(j)][place.row(i)]) = {
            acc[i][j], acc[i + 1][j], acc[i + 2][j], acc[i + 3][j]};
      }
    }
  }

  VOLT_DEVICE static Four& four_of(float& first) { return reinterpret_cast<Four&>(first); }

  Shared& shared;
  const Place place;

 private:
  /// step(stage, e, i) for each i < count, ascending, its slab copied before.
  template <class Copy, class Step>
  VOLT_DEVICE void by_slabs(int count, Copy copy, Step step) {
    copy(shared.stage[turn], 0);
    commit_copies();
    for (int first = 0; first < count; first += depth, turn ^= 1) {
      wait_for_copies<0>();
      sync_block();  // the slab is there, and all have left the other stage
      if (first + depth < count) {
        copy(shared.stage[turn ^ 1], first + depth);
        commit_copies();
      }
      const Stage& stage = shared.stage[turn];
      if (count - first >= depth) {
        VOLT_UNROLL
        for (int e = 0; e < depth; ++e) step(stage, e, first + e);
      } else {
        for (int e = 0; e < count - first; ++e) step(stage, e, first + e);
      }
    }
  }

  /// acc += a row by a column, which begin at the thread's own.
  template <int columns>
  VOLT_DEVICE static void step(float (&acc)[own][columns], const float* a, const float* b) {
    Four rows_of[own / 4], columns_of[columns / 4];
    VOLT_UNROLL
    for (int i = 0; i < own / 4; ++i) rows_of[i] = *reinterpret_cast<const Four*>(a + i * 16);
    VOLT_UNROLL
    for (int j = 0; j < columns / 4; ++j)
      columns_of[j] = *reinterpret_cast<const Four*>(b + j * 32);
    VOLT_UNROLL
    for (int i = 0; i < own; ++i) {
      VOLT_UNROLL
      for (int j = 0; j < columns; ++j) {
        acc[i][j] = fused(rows_of[i / 4].at[i % 4], columns_of[j / 4].at[j % 4], acc[i][j]);
      }
    }
  }

  /// Features of lines, to [feature][line]. A warp's copies go to 8 features of 4 lines: with rows
  /// 4 apart these are all 32 banks.
  template <int lines>
  VOLT_DEVICE static void turned(float* slab, const LinesAt& from, int feature, int left) {
    // Anew: or the addresses of all copies would be kept from slab to slab, in registers that the
    // accumulators need.
    const std::uint32_t thread = anew(thread_index());
    const int k = static_cast<int>(thread % 8), line = static_cast<int>(thread / 8);
    const float* source = from.data + line * from.stride + (feature + k);
    const SharedAddress to(slab + k * (lines + 4) + line);
    VOLT_UNROLL
    for (int j = 0; j < lines; j += threads / 8, source += threads / 8 * from.stride) {
      if (line + j >= from.count) continue;
      if (k < left) copy_async_4(to.after(j * 4), source);
      if (k + 8 < left) copy_async_4(to.after((8 * (lines + 4) + j) * 4), source + 8);
    }
  }

  /// Columns of lines first, first + 1, ... as they are.
  VOLT_DEVICE static void straight(Stage& to, const LinesAt& from, int first, int columns,
                                   bool fours) {
    const auto thread = static_cast<int>(anew(thread_index()));
    VOLT_UNROLL
    for (int i = 0; i < depth * width / 4; i += threads) {
      const int x = i + thread;
      const int line = x / (width / 4), column = x % (width / 4) * 4;
      if (first + line >= from.count) continue;
      const float* const source = from.data + (first + line) * from.stride + column;
      const SharedAddress there(&to.b[line][column]);
      if (fours) {
        if (column < columns) copy_async_16(there, source);
      } else {
        VOLT_UNROLL
        for (int e = 0; e < 4; ++e) {
          if (column + e < columns) copy_async_4(there.after(e * 4), source + e);
        }
      }
    }
  }

  const int d;
  int turn = 0;
};

}  // namespace VOLT_ISA
}  // namespace volt::kernels

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "matmul_i8_cuda.cuh"

/// The products of limbs that attention is made of, by mma.sync: a block has 16 rows a warp,
/// queries or keys, which meet the others in groups of 128 lines. Sums of a group are exact in any
/// order, so that its lines lie in the fragments as they come out of one product and go into the
/// next.
namespace volt::kernels {
inline namespace VOLT_ISA {
namespace limb_tiles {

using i8_tiles::chunk_bytes;
using i8_tiles::LimbSums;
using i8_tiles::Slab;

constexpr int lines = 128;  // of a group
constexpr int steps = 4;    // products of 32 in a group
constexpr int strips = lines / 8;

/// Heads in limbs: [rows, heads, width], `width` bytes a multiple of 32 whose end is 0.
struct LimbLines {
  VOLT_DEVICE std::uint64_t line(int row, std::uint32_t head) const {
    return static_cast<std::uint64_t>(row) * heads + head;
  }
  VOLT_DEVICE float scale(int row, std::uint32_t head) const { return scales[line(row, head)]; }

  std::int8_t* limb[2];  // high, low
  float* scales;         // [rows, heads]
  std::uint32_t heads, width;
};

/// The lines of a group that there are: [begin, end) of 128, of which line 0 is row `row`, which
/// may lie before the matrix.
struct Group {
  int row, begin, end;
};

/// Byte i of word j becomes byte j of word i.
VOLT_DEVICE void turn(std::uint32_t (&word)[4]) {
  const std::uint32_t even = 0x00ff00ffu, odd = 0xff00ff00u;
  const std::uint32_t a = (word[0] & even) | ((word[1] & even) << 8);
  const std::uint32_t b = ((word[0] & odd) >> 8) | (word[1] & odd);
  const std::uint32_t c = (word[2] & even) | ((word[3] & even) << 8);
  const std::uint32_t e = ((word[2] & odd) >> 8) | (word[3] & odd);
  word[0] = (a & 0xffffu) | (c << 16);
  word[1] = (b & 0xffffu) | (e << 16);
  word[2] = (a >> 16) | (c & 0xffff0000u);
  word[3] = (b >> 16) | (e & 0xffff0000u);
}

/// `width` columns of what the weights come to.
template <int warps_, int width_>
struct Tiles {
  static constexpr int warps = warps_, width = width_, rows = 16 * warps, threads = 32 * warps;

  /// Of a thread: rows place.row(e / 2) and lines place.line(strip, e % 2).
  using Scores = float[strips][4];
  /// Of 32 columns, product t has every fourth from column t on.
  using Result = float[width / 32][4][4];
  /// A group's weights as limbs, in the fragments of side A.
  struct Weights {
    std::uint32_t limb[2][steps][4];
    float scale[2];
  };
  struct Shared {
    Slab<lines> limb[2];
    float scales[lines];
  };

  struct Place {
    VOLT_DEVICE Place()
        : warp(static_cast<int>(thread_index() / 32)),
          lane(static_cast<int>(thread_index() % 32)) {}
    VOLT_DEVICE int row(int half) const { return 16 * warp + lane / 4 + 8 * half; }
    VOLT_DEVICE int line(int strip, int i) const { return 8 * strip + lane % 4 * 2 + i; }
    VOLT_DEVICE int column(int block, int t, int i) const {
      return 32 * block + 8 * (lane % 4) + 4 * i + t;
    }
    int warp, lane;
  };

  VOLT_DEVICE explicit Tiles(Shared& s) : shared(s) {}

  /// Columns [column, column + 128) of a group's lines, or those that there are, and their scales.
  VOLT_DEVICE void load(const LimbLines& from, std::uint32_t head, const Group& group, int column) {
    sync_block();  // all have left what is there
    const auto thread = static_cast<int>(thread_index());
    const int wide = static_cast<int>(from.width) - column;
    const int chunks = (wide < lines ? wide : lines) / chunk_bytes;
    for (int i = thread; i < lines * chunks; i += threads) {
      const int line = i / chunks, chunk = i % chunks;
      if (line < group.begin || line >= group.end) continue;
      const std::uint64_t at =
          from.line(group.row + line, head) * from.width + column + chunk * chunk_bytes;
      VOLT_UNROLL
      for (int limb = 0; limb < 2; ++limb) {
        Slab<lines>& slab = shared.limb[limb];
        copy_async_16(SharedAddress(&slab.at[line][slab.place(line, chunk) * chunk_bytes]),
                      from.limb[limb] + at);
      }
    }
    for (int line = thread; line < lines; line += threads) {
      const bool there = line >= group.begin && line < group.end;
      shared.scales[line] = there ? from.scale(group.row + line, head) : 0.0f;
    }
    commit_copies();
    wait_for_copies<0>();
    sync_block();
  }

  /// scores = the products over columns of the block's `count` rows from `first` on with a group's
  /// lines. Of rows and lines that are not there it is anything.
  VOLT_DEVICE void pair_up(Scores& scores, const LimbLines& own, std::uint32_t own_head, int first,
                           int count, const LimbLines& other, std::uint32_t head,
                           const Group& group) {
    VOLT_UNROLL
    for (auto& strip : scores) strip[0] = strip[1] = strip[2] = strip[3] = 0.0f;
    std::uint64_t line[2];
    float own_scale[2];
    for (int half = 0; half < 2; ++half) {
      const int row = place.row(half) < count ? place.row(half) : count - 1;
      line[half] = own.line(first + row, own_head);
      own_scale[half] = own.scales[line[half]];
    }
    for (int column = 0; column < static_cast<int>(own.width); column += lines) {
      load(other, head, group, column);
      const int left = (static_cast<int>(own.width) - column) / 32;
      const int count_steps = left < steps ? left : steps;
      std::uint32_t a[2][steps][4];
      for (int limb = 0; limb < 2; ++limb) {
        const std::int8_t* const data = own.limb[limb] + column + place.lane % 4 * 4;
        VOLT_UNROLL
        for (int step = 0; step < steps; ++step) {
          VOLT_UNROLL
          for (int i = 0; i < 4; ++i) {
            // Beyond the end of a head, zeros: the lines' memory is not read there.
            a[limb][step][i] =
                step < count_steps
                    ? word_at(data + line[i % 2] * own.width + 32 * step + i / 2 * 16)
                    : 0;
          }
        }
      }
      VOLT_UNROLL
      for (int strip = 0; strip < strips; ++strip) {
        LimbSums sums;
        VOLT_UNROLL
        for (int step = 0; step < steps; step += 2) {
          if (step >= count_steps) continue;
          std::uint32_t b[2][2][2];
          for (int limb = 0; limb < 2; ++limb) load_strip(b[limb], limb, strip, step);
          sums.add(a[0][step], a[1][step], b[0][0], b[1][0]);
          if (step + 1 < count_steps) sums.add(a[0][step + 1], a[1][step + 1], b[0][1], b[1][1]);
        }
        VOLT_UNROLL
        for (int e = 0; e < 4; ++e) {
          const float scale = own_scale[e / 2] * shared.scales[place.line(strip, e % 2)];
          scores[strip][e] = fused(sums.joined(e), scale, scores[strip][e]);
        }
      }
    }
  }

  /// result += the product over a group's lines, from column `column` on, with scores as weights
  /// where sees(row, line), and +0 elsewhere.
  template <class Sees>
  VOLT_DEVICE void weigh(Result& result, Scores& scores, const LimbLines& other, std::uint32_t head,
                         const Group& group, int column, Sees sees) {
    // The slab begins with the group of 128 columns that the result's are part of.
    load(other, head, group, column / lines * lines);
    VOLT_UNROLL
    for (int strip = 0; strip < strips; ++strip) {
      VOLT_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int line = place.line(strip, e % 2);
        float& weight = scores[strip][e];
        weight = sees(place.row(e / 2), line) ? weight * shared.scales[line] : 0.0f;
      }
    }
    Weights weights;
    quantise(weights, scores);
    VOLT_UNROLL
    for (int block = 0; block < width / 32; ++block) {
      LimbSums sums[4];
      VOLT_UNROLL
      for (int step = 0; step < steps; ++step) {
        std::uint32_t b[2][2][4];  // limb, half of the step, product
        for (int limb = 0; limb < 2; ++limb) {
          load_turned(b[limb], limb, step, column % lines + 32 * block);
        }
        VOLT_UNROLL
        for (int t = 0; t < 4; ++t) {
          const std::uint32_t high[2] = {b[0][0][t], b[0][1][t]}, low[2] = {b[1][0][t], b[1][1][t]};
          sums[t].add(weights.limb[0][step], weights.limb[1][step], high, low);
        }
      }
      VOLT_UNROLL
      for (int t = 0; t < 4; ++t) {
        VOLT_UNROLL
        for (int e = 0; e < 4; ++e) {
          float& acc = result[block][t][e];
          acc = fused(sums[t].joined(e), weights.scale[e / 2], acc);
        }
      }
    }
  }

  /// with(row, column, own) for each element of the result.
  template <class With>
  VOLT_DEVICE void over_result(Result& result, With with) const {
    VOLT_UNROLL
    for (int block = 0; block < width / 32; ++block) {
      VOLT_UNROLL
      for (int t = 0; t < 4; ++t) {
        VOLT_UNROLL
        for (int e = 0; e < 4; ++e) {
          with(place.row(e / 2), place.column(block, t, e % 2), result[block][t][e]);
        }
      }
    }
  }

  Shared& shared;
  const Place place;

 private:
  VOLT_DEVICE static std::uint32_t word_at(const std::int8_t* at) {
    return *reinterpret_cast<const std::uint32_t*>(at);
  }

  /// Each row's group as limbs. Line 8s + 2c + i of a thread's is k 4c + 2(s % 2) + i of a half
  /// step: it is those lines that load_turned() takes.
  VOLT_DEVICE void quantise(Weights& weights, const Scores& scores) const {
    VOLT_UNROLL
    for (int half = 0; half < 2; ++half) {
      std::uint32_t amax = 0;
      VOLT_UNROLL
      for (int strip = 0; strip < strips; ++strip) {
        VOLT_UNROLL
        for (int i = 0; i < 2; ++i) {
          const std::uint32_t bits = magnitude_bits(scores[strip][2 * half + i]);
          amax = bits > amax ? bits : amax;
        }
      }
      VOLT_UNROLL
      for (std::uint32_t mask = 1; mask < 4; mask *= 2) {  // the four threads of a row
        const std::uint32_t other = shuffle_xor(amax, mask);
        amax = other > amax ? other : amax;
      }
      const GroupScale scale = group_scale(amax, most_limbs);
      weights.scale[half] = scale.scale;
      VOLT_UNROLL
      for (int step = 0; step < steps; ++step) {
        VOLT_UNROLL
        for (int part = 0; part < 2; ++part) {  // of 16 lines
          std::uint32_t high = 0, low = 0;
          VOLT_UNROLL
          for (int i = 0; i < 4; ++i) {
            const float value = scores[4 * step + 2 * part + i / 2][2 * half + i % 2];
            const Limbs limbs = limbs_of(quantise_whole(value, scale));
            high |= std::uint32_t{static_cast<std::uint8_t>(limbs.high)} << (8 * i);
            low |= std::uint32_t{static_cast<std::uint8_t>(limbs.low)} << (8 * i);
          }
          weights.limb[0][step][2 * part + half] = high;
          weights.limb[1][step][2 * part + half] = low;
        }
      }
    }
  }

  /// Side B's fragments of two steps over columns, of eight lines.
  VOLT_DEVICE void load_strip(std::uint32_t (&b)[2][2], int limb, int strip, int step) const {
    const Slab<lines>& slab = shared.limb[limb];
    const int line = 8 * strip + place.lane % 8, chunk = place.lane / 8;
    std::uint32_t both[4];
    load_matrices(both, SharedAddress(&slab.at[line][slab.place(line, chunk) * chunk_bytes])
                            .flip(static_cast<std::uint32_t>(32 * step)));
    b[0][0] = both[0], b[0][1] = both[1];
    b[1][0] = both[2], b[1][1] = both[3];
  }

  /// Side B's fragments of a step over lines, of 32 columns from `column` on: a thread has four
  /// neighbouring ones, for a product each.
  VOLT_DEVICE void load_turned(std::uint32_t (&b)[2][4], int limb, int step, int column) const {
    const Slab<lines>& slab = shared.limb[limb];
    const int at = column + place.lane / 4 * 4;
    VOLT_UNROLL
    for (int part = 0; part < 2; ++part) {
      VOLT_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int line = place.line(4 * step + 2 * part + i / 2, i % 2);
        b[part][i] = word_at(
            &slab.at[line][slab.place(line, at / chunk_bytes) * chunk_bytes + at % chunk_bytes]);
      }
      turn(b[part]);
    }
  }
};

}  // namespace limb_tiles
}  // namespace VOLT_ISA
}  // namespace volt::kernels

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/vectors/lm/nf4.safetensors: known answers for NF4 with double quantisation (Dettmers
et al. 2023, arXiv 2305.14314, section 3), from the definition below, in numpy. Not part of
./dev test.

Where bitsandbytes is installed (last run with 0.50.2 and torch 2.15.0) its CPU code must give the
same bits, but for absmax_code: it looks that up in a table with steps of 2^-15, and may miss the
nearest. (Its CUDA code does not, but has nibble 0 in a block of zeros.)

All arithmetic is float32, each operation rounded. The tensor is taken flat, in blocks of 64, of
which the last may be short.

  absmax      a = max |x| of the block
  nibble      number of thresholds t with s > t, s = clamp(x * (1 / max(a, 1e-38)), -1, 1) and
              t[i] = (code4[i] + code4[i + 1]) / 2. It is a product by the reciprocal: x / a may be
              on the other side. Zeros, and blocks far below 1e-38, have nibble 7, which is 0.
  packed      two nibbles a byte, the even element's in the high half
  offset      mean of all absmax; here their sum is exact in any order
  absmax2     b = max |d| over 256 blocks, d = a - offset; the last group may be short
  absmax_code the nearest entry of code to d / b, which is no tie here; 0 where b is 0
  absmax_dequantized   code[absmax_code] * absmax2 + offset
  dequantized          code4[nibble] * absmax_dequantized

code is bitsandbytes' create_dynamic_map(signed=True, max_exponent_bits=7, total_bits=8), sorted:

  +-(2^(i+1) + 9 (2j+1)) / (2^(i+1) 10^(7-i))  for i = 0 ... 6 and j = 0 ... 2^i - 1;  0;  1

that is, for each power of ten from 1e-6 to 1 the centres of 2^i equal parts of [0.1, 1] of it: 254
values, of which the largest is 0.99296875; there is a 1 but no -1. Each is the float32 nearest to
the exact value. bitsandbytes computes the parts in float32, by which up to a third of the entries
are an ulp away, and other ones with AVX2 than without; its checkpoints bring their map along.

  input [N] float32, packed [N / 2] uint8, absmax, absmax_dequantized [301] float32,
  absmax_code [301] uint8, absmax2 [2] float32, offset [1] float32, code [256] float32,
  dequantized [N] float32;  N = 300 * 64 + 40
  one.NAME: the same of a single block, where b is 0

usage: nf4.py
"""
import pathlib
from fractions import Fraction

import numpy
import safetensors.numpy
from numpy import float32

BLOCK, GROUP, BLOCKS, TAIL = 64, 256, 300, 40

CODE4 = numpy.array([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0], dtype=float32)
THRESHOLDS = (CODE4[:-1] + CODE4[1:]) / float32(2)


def nearest_float32(exact):
    """A division of whole numbers below 2^53 is rounded twice: shown not to matter."""
    result = float32(exact.numerator / exact.denominator)
    for other in (numpy.nextafter(result, float32(-2)), numpy.nextafter(result, float32(2))):
        assert abs(Fraction(float(other)) - exact) > abs(Fraction(float(result)) - exact)
    return result


def dynamic_map():
    exact = [Fraction(0), Fraction(1)]
    for i in range(7):
        for j in range(2 ** i):
            value = Fraction(2 ** (i + 1) + 9 * (2 * j + 1), 2 ** (i + 1) * 10 ** (7 - i))
            exact += [value, -value]
    return numpy.array([nearest_float32(value) for value in sorted(exact)])


CODE = dynamic_map()


def blocks_of(flat, length):
    """The blocks, the last filled with zeros."""
    count = -(-len(flat) // length)
    return numpy.pad(flat, (0, count * length - len(flat))).reshape(count, length)


def quantise(x):
    blocks = blocks_of(x, BLOCK)
    absmax = abs(blocks).max(axis=1)
    inverse = float32(1) / numpy.maximum(absmax, float32(1e-38))
    scaled = numpy.clip(blocks * inverse[:, None], float32(-1), float32(1)).ravel()[:len(x)]
    nibbles = (scaled[:, None] > THRESHOLDS).sum(axis=1).astype(numpy.uint8)

    offset = float32(sum(map(Fraction, absmax.tolist())) / len(absmax))
    absmax2 = abs(blocks_of(absmax - offset, GROUP)).max(axis=1)
    scales = absmax2.repeat(GROUP)[:len(absmax)]
    codes = nearest_codes((absmax - offset) / numpy.where(scales == 0, numpy.nan, scales))
    absmax_dequantized = CODE[codes] * scales + offset
    return dict(
        input=x, packed=nibbles[::2] << 4 | nibbles[1::2], absmax=absmax, absmax_code=codes,
        absmax2=absmax2, offset=numpy.array([offset]), code=CODE,
        absmax_dequantized=absmax_dequantized,
        dequantized=CODE4[nibbles] * absmax_dequantized.repeat(BLOCK)[:len(x)])


def nearest_codes(scaled):
    """Of NaN the first. No value is so near to a tie that rounding could turn it."""
    distances = abs(scaled.astype(float)[:, None] - CODE)
    nearest, next_one = numpy.sort(distances, axis=1)[:, :2].T
    assert not (next_one - nearest <= 1e-6 * abs(scaled)).any()
    return distances.argmin(axis=1).astype(numpy.uint8)


def straddlers(random, absmax):
    """Elements that x * (1 / a) and x / a put on two sides of a threshold."""
    found = []
    inverse = float32(1) / absmax
    for threshold in random.permutation(THRESHOLDS):
        x = float32(threshold * absmax)
        for _ in range(5):
            if (x * inverse > threshold) != (x / absmax > threshold):
                found.append(x)
            x = numpy.nextafter(x, float32(0))
    return found


def make_input():
    random = numpy.random.default_rng(1)
    x = random.standard_normal((BLOCKS + 1, BLOCK)).astype(float32)
    x *= float32(2) ** random.uniform(-5, 0, (BLOCKS + 1, 1)).astype(float32)
    x[BLOCKS, TAIL:] = 0
    for block in x:  # absmax in steps of 2^-11: no sum of them is rounded
        most = abs(block).argmax()
        block[most] = numpy.copysign(numpy.ceil(abs(block[most]) * 2048) / 2048, block[most])

    up, down = (numpy.nextafter(THRESHOLDS, float32(way)) for way in (2, -2))
    x[1] = 0
    x[2], x[2, 9] = 0, -1.5                             # one-hot
    x[290], x[290, 5] = x[290] / 64, 96                 # one outlier, which coarsens its group
    x[4] = numpy.resize([0.0, -0.0], BLOCK)
    x[5] = random.standard_normal(BLOCK) * 1e-40        # denormals
    x[6], x[6, 0] = 0, 1.4e-45                          # the smallest
    x[7] = random.standard_normal(BLOCK) * 4e-39        # absmax about 1e-38
    for block, scale in ((8, 1), (9, -1), (10, 0.25)):  # thresholds, and their neighbours
        x[block, :46] = numpy.concatenate([THRESHOLDS, up, down, [1]]) * float32(scale)
        x[block, 46:] *= float32(0.01)
    x[11] = numpy.resize(CODE4, BLOCK) * float32(0.5)
    x[12] = -0.375                                      # one value
    for block in range(20, 60):
        most = abs(x[block]).argmax()
        x[block, most], x[block, 63] = x[block, 63], x[block, most]
        found = straddlers(random, abs(x[block, 63]))[:20]
        x[block, :len(found)] = found
    return x.ravel()[:BLOCKS * BLOCK + TAIL]


def check_bitsandbytes(answers):
    try:
        import torch
        from bitsandbytes import functional
    except ImportError:
        print('bitsandbytes is not installed: not compared')
        return
    own = functional.create_dynamic_map()
    assert torch.allclose(own, torch.from_numpy(CODE), rtol=1.2e-7, atol=0)
    functional.name2qmap['dynamic'] = torch.from_numpy(CODE)
    packed, state = functional.quantize_4bit(
        torch.from_numpy(answers['input']), blocksize=BLOCK, compress_statistics=True,
        quant_type='nf4')
    codes = state.absmax
    state.absmax = torch.from_numpy(answers['absmax_code'])
    found = dict(packed=packed, absmax2=state.state2.absmax, offset=state.offset,
                 dequantized=functional.dequantize_4bit(packed, state))
    for name, tensor in found.items():
        assert tensor.numpy().tobytes() == answers[name].tobytes(), name
    missed = abs(codes.int() - state.absmax.int())
    assert missed.max() <= 1 and missed.sum() <= 2
    print(f'bitsandbytes gives the same bits, but for {missed.sum()} codes of absmax; '
          f'{(own.numpy() != CODE).sum()} entries of its own map are an ulp away')


x = make_input()
answers, one = quantise(x), quantise(x[:BLOCK])
absmax = answers['absmax'].repeat(BLOCK)[:len(x)]
with numpy.errstate(invalid='ignore'):
    straddling = ((x * (1 / numpy.maximum(absmax, float32(1e-38))))[:, None] > THRESHOLDS) != (
        (x / absmax)[:, None] > THRESHOLDS)
print(f'{len(x)} elements, {len(set(answers["absmax_code"]))} codes of absmax; a division would '
      f'change {straddling[absmax > 1e-37].any(axis=1).sum()} nibbles')
check_bitsandbytes(answers)
check_bitsandbytes(one)
path = pathlib.Path(__file__).parent.parent / 'vectors' / 'lm' / 'nf4.safetensors'
safetensors.numpy.save_file(
    answers | {f'one.{name}': tensor for name, tensor in one.items() if name != 'code'}, path)

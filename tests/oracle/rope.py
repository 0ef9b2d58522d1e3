#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/vectors/rope/turns.json by mpmath (last run with 1.4.1) with 100 digits, from the
formulas in libvolt/lm/rope.hpp. Needs mpmath; not part of ./dev test.

usage: rope.py
"""
import json
import pathlib

from mpmath import mp, mpf, floor, pi

mp.dps = 100

CASES = [
    # What the families have.
    dict(head_width=64, theta=10000.0),  # SmolLM2-360M, TinyLlama
    dict(head_width=128, theta=10000.0),  # Llama 2, Mistral 7B v0.1
    dict(head_width=128, theta=500000.0),  # Llama 3
    dict(head_width=64, theta=1000000.0),  # Qwen2.5 0.5B
    dict(head_width=128, theta=1000000.0),  # Qwen2.5 7B, Qwen3, Mistral 7B v0.3
    dict(head_width=128, theta=500000.0, scaling='llama3', factor=8.0, low_freq_factor=1.0,
         high_freq_factor=4.0, original_context=8192),  # Llama 3.1 8B
    dict(head_width=64, theta=500000.0, scaling='llama3', factor=32.0, low_freq_factor=1.0,
         high_freq_factor=4.0, original_context=8192),  # Llama 3.2 1B
    dict(head_width=128, theta=10000.0, scaling='linear', factor=4.0),  # longchat, vicuna 16k
    # The edges of what is accepted.
    dict(head_width=2, theta=2.0),
    dict(head_width=80, theta=10000.5),
    dict(head_width=4, theta=1e12, scaling='linear', factor=1e6),
    dict(head_width=6, theta=3.3333333333333335, scaling='linear', factor=1.1),
    dict(head_width=64, theta=10000.0, scaling='llama3', factor=1.0, low_freq_factor=0.001,
         high_freq_factor=1e6, original_context=2**32),
    dict(head_width=32, theta=12345.678, scaling='llama3', factor=7.7, low_freq_factor=0.3,
         high_freq_factor=3.1, original_context=1000),
]


def turn(case, i):
    t = mpf(case['theta']) ** (-mpf(2 * i) / case['head_width']) / (2 * pi)
    scaling = case.get('scaling', 'none')
    if scaling == 'none':
        return t
    slow = t / mpf(case['factor'])
    if scaling == 'linear':
        return slow
    low, high = mpf(case['low_freq_factor']), mpf(case['high_freq_factor'])
    c = t * case['original_context']
    if c > high:
        return t
    if c < low:
        return slow
    s = (c - low) / (high - low)
    return (1 - s) * slow + s * t


nearest_tie = 1
for case in CASES:
    case['turns'] = []
    for i in range(case['head_width'] // 2):
        exact = turn(case, i) * mpf(2) ** 64
        case['turns'].append(int(floor(exact + mpf(1) / 2)))
        nearest_tie = min(nearest_tie, abs(exact - floor(exact) - mpf(1) / 2))
path = pathlib.Path(__file__).parent.parent / 'vectors' / 'rope' / 'turns.json'
path.write_text('[' + ',\n'.join(json.dumps(case) for case in CASES) + ']\n')
print(f'{sum(len(case["turns"]) for case in CASES)} turns; the nearest to a tie is off by 2^'
      f'{mp.nstr(mp.log(nearest_tie, 2), 3)} of a unit')

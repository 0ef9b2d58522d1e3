#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the one line that ends ./dev test, from Meson's log of one run.

A program that counts its cases says so in its output, doctest or ours; any other counts as one.

usage: summary.py testlog.json
"""
import json
import re
import sys

DOCTEST = re.compile(r'\[doctest\] test cases: *\d+ *\| *(\d+) passed *\| *(\d+) failed *\| *(\d+) skipped')
OURS = re.compile(r'^(\d+) passed, (\d+) failed, (\d+) skipped$', re.M)

total = [0, 0, 0]
for line in open(sys.argv[1]):
    test = json.loads(line)
    output = re.sub(r'\x1b\[[0-9;]*m', '', test.get('stdout') or '')
    match = DOCTEST.search(output) or OURS.search(output)
    result = test['result']
    if match:
        counts = [int(group) for group in match.groups()]
        if result not in ('OK', 'SKIP') and counts[1] == 0:  # it crashed after its count
            counts[1] = 1
    else:
        counts = [result == 'OK', result not in ('OK', 'SKIP'), result == 'SKIP']
    total = [sum(pair) for pair in zip(total, counts)]
print('{} passed, {} failed, {} skipped'.format(*total))
sys.exit(total[1] != 0 or total[0] == 0)

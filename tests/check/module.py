#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Examines the CUDA module: it exports one symbol, nothing needs CUDA's libraries, and the tools of
this build take it for their own.

usage: module.py MODULE TOOL...
"""
import re
import subprocess
import sys


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


module, *tools = sys.argv[1:]
symbols = [line.split()[-1] for line in output('nm', '-D', '--defined-only', module).splitlines()]
assert symbols == ['volt_kernels_module'], symbols
for file in [module, *tools]:
    needed = re.findall(r'NEEDED.*\[(.*)\]', output('readelf', '-d', file))
    assert not [name for name in needed if re.match(r'libcu|libnv', name)], (file, needed)
gpu_run = next(tool for tool in tools if tool.endswith('gpu-run'))
absent = re.findall('^cuda  none: (.*)', output(gpu_run, 'devices'), re.M)
assert not [why for why in absent if 'driver' not in why], absent
print('module: ok')

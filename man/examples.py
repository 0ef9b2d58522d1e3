#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the commands in the EXAMPLES of the man pages as written: one script per page, in a folder
and a home of its own. A command is a line of a literal block that begins with "$ ".

usage: examples.py ROOT TOOL...
"""
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

PAGES = ['gpu-run.1.in', 'gpu-verify.1.in', 'volt-receipt.5']


def commands(page):
    section = re.search(r'^\.Sh EXAMPLES\n(.*?)^\.Sh ', page.read_text(), re.M | re.S).group(1)
    lines = re.findall(r'^\$ (.*)$', section, re.M)
    return [line.replace(r'\(aq', "'").replace(r'\e', '\\') for line in lines]


def write_npy(path, rows, cols):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {cols}), }}"
    header += ' ' * (-(11 + len(header)) % 64) + '\n'
    elements = struct.pack(f'<{rows * cols}f', *(i % 97 / 97 for i in range(rows * cols)))
    path.write_bytes(b'\x93NUMPY\x01\x00' + struct.pack('<H', len(header)) + header.encode()
                     + elements)


root, tools = pathlib.Path(sys.argv[1]), os.path.dirname(os.path.abspath(sys.argv[2]))
env = {name: value for name, value in os.environ.items() if not name.startswith(('VOLT_', 'XDG_'))}
passed = failed = 0
for name in PAGES:
    lines = commands(root / name)
    assert len(lines) >= 4, name + ' lost its commands'
    with tempfile.TemporaryDirectory() as folder:
        write_npy(pathlib.Path(folder) / 'left.npy', 512, 1024)
        env.update(HOME=folder, PATH=tools + ':' + os.environ['PATH'])
        # The script tells which of its lines it has reached.
        script = 'set -e\n' + ''.join(f'echo {i} > {folder}/.reached\n{line}\n'
                                      for i, line in enumerate(lines))
        done = subprocess.run(['sh', '-c', script], cwd=folder, env=env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        reached = int((pathlib.Path(folder) / '.reached').read_text())
    for line in lines[:reached + (done.returncode == 0)]:
        print('ok      ' + line)
        passed += 1
    if done.returncode != 0:
        print('FAILED  ' + lines[reached] + '\n' + done.stdout)
        failed += len(lines) - reached
print(f'{passed} passed, {failed} failed, 0 skipped')
sys.exit(failed != 0)

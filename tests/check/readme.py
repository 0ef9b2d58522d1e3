#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the README's sh blocks as written, one after the other, in a copy of jobs/.

usage: readme.py ROOT TOOL...
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

root = pathlib.Path(sys.argv[1])
blocks = re.findall(r'^```sh\n(.*?)^```', (root / 'README.md').read_text(), re.M | re.S)
assert len(blocks) >= 4, 'the README lost its commands'
with tempfile.TemporaryDirectory() as folder:
    shutil.copytree(root / 'jobs', pathlib.Path(folder) / 'jobs')
    env = dict(os.environ, HOME=folder, TMPDIR=folder,
               PATH=os.path.dirname(os.path.abspath(sys.argv[2])) + ':' + os.environ['PATH'])
    for name in [name for name in env if name.startswith(('XDG_', 'VOLT_'))]:
        del env[name]
    failed = 0
    for block in blocks:
        done = subprocess.run(['sh', '-ec', block], cwd=folder, env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        print(('ok     ' if done.returncode == 0 else 'FAILED ') + block.splitlines()[0])
        if done.returncode != 0:
            print(done.stdout)
            failed += 1
    print(f'{len(blocks) - failed} passed, {failed} failed, 0 skipped')
sys.exit(failed != 0)

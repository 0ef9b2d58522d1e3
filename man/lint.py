#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when mandoc has anything to say about PAGE.

The pages are laid out as if installed, so that references between them, and no others, are found.

usage: lint.py MANDOC PAGE OTHER...
"""
import os
import shutil
import subprocess
import sys
import tempfile

mandoc, *pages = sys.argv[1:]
with tempfile.TemporaryDirectory() as root:
    for page in pages:
        folder = os.path.join(root, 'man' + page[-1])
        os.makedirs(folder, exist_ok=True)
        shutil.copy(page, folder)
    done = subprocess.run([mandoc, '-Tlint', '-W', 'style', pages[0]],
                          env=dict(os.environ, MANPATH=root),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
# What it finds goes to standard output. On standard error it misses the index of an installation.
sys.stdout.buffer.write(done.stdout)
sys.exit(bool(done.stdout or done.returncode))

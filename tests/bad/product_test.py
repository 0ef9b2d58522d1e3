#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Products whose files are changed while gpu-verify looks at them.

product_test.py GPU-RUN GPU-VERIFY TWO-FACED
"""
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
from forger import Forger

gpu_run, gpu_verify, two_faced = (str(Path(argument).resolve()) for argument in sys.argv[1:4])
JOB = '''schema = "volt.job/1"
workload = "matmul"
[matmul]
a = { seed = 1, shape = [40, 50] }
b = { seed = 2, shape = [50, 60] }
out = "c.npy"
image = "c.pgm"
'''

failures = 0
with tempfile.TemporaryDirectory(prefix='volt-bad-') as work:
    forger = Forger(work)
    Path('good.toml').write_text(JOB)
    end = forger.call(gpu_run, '-q', 'good.toml')
    if end.returncode != 0:
        sys.exit(f'the good run ends with {end.returncode}: {end.stderr}')
    for name in 'c.npy', 'c.pgm':
        folder = Path('two-faced-' + name)
        shutil.copytree('good.run', folder, ignore=shutil.ignore_patterns('.volt', 'run.json'))
        environment = forger.two_faces(folder, name, two_faced)
        end = forger.call(gpu_verify, str(folder), '--all', **environment)
        said = ' '.join((end.stdout + end.stderr).split())
        right = end.returncode == 11 and f'{name} was changed while it was examined' in said
        failures += not right
        print(f'ok      {name}' if right else f'FAILED  {name}: exit {end.returncode}: {said}')
    os.chdir('/')
print(f'{2 - failures} passed, {failures} failed, 0 skipped')
sys.exit(1 if failures else 0)

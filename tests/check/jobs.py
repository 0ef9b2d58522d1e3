#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every example job as it stands, and verifies all that it made. Trainings take minutes: they
are only examined, and the README's is run by readme.py.

usage: jobs.py ROOT TOOL...
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

root = Path(sys.argv[1]).resolve()
# What a job leaves to the person, who is told in its first lines; a model of any kind serves here.
novel = f'data={root}/jobs/finetune/northanger-abbey.txt'
base = f'base={root}/tests/vectors/lm/llama'
bound = {'adapt': [base], 'write': [base], 'define': [base, 'adapter=.'], 'study': [novel],
         'mean-rate': [novel]}
tools = {os.path.dirname(os.path.abspath(tool)) for tool in sys.argv[2:]}
failed = passed = 0
with tempfile.TemporaryDirectory() as folder:
    for name in 'adapter_config.json', 'adapter_model.safetensors':
        Path(folder, name).touch()
    env = {**os.environ, 'HOME': folder, 'PATH': os.pathsep.join([*tools, os.environ['PATH']])}
    for job in sorted(root.glob('jobs/**/*.toml')):
        text = job.read_text()
        whole = '--rerun' if 'workload = "command"' in text else '--all'
        run = f'{folder}/{job.stem}.run'
        commands = [['gpu-run', str(job), '-o', run, '-q'], ['gpu-verify', run, whole]]
        if 'workload = "finetune"' in text or 'workload = "generate"' in text:
            commands = [['gpu-run', '--check', str(job)]]
            for input_ in bound.get(job.stem, []):
                commands[0] += ['--input', input_]
        for command in commands:
            done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True,
                                  check=False)
            if done.returncode == 0:
                passed += 1
                continue
            failed += 1
            print(f'{" ".join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}')
            break
print(f'{passed} passed, {failed} failed, 0 skipped')
sys.exit(1 if failed or not passed else 0)

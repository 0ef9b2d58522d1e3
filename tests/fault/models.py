#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stops what a language model does at random moments, as often as asked, and checks that it ends as if
it had not been.

usage: models.py finetune|i8x2|generate GPU-RUN GPU-VERIFY STOPS [SEED]

A stop is kill -9 of the parent, of the worker or of both, or SIGTERM; each start has another number of
threads. A training ends early by its rule, after step 100 of 120. What is left must be that of an
undisturbed run, and verify; TensorBoard's file must be, but for its times. i8x2 is the same training
in that profile.
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

run, verify = (str(Path(argument).resolve()) for argument in sys.argv[2:4])
stops = int(sys.argv[4])
seed = int(sys.argv[5]) if len(sys.argv) > 5 else random.randrange(1 << 32)
dice = random.Random(seed)
tests = Path(__file__).resolve().parent.parent
FINETUNE = '''schema = "volt.job/1"
workload = "finetune"
[finetune]
base = "models/tiny"
data = "train.jsonl"
eval = "5%"
method = { lora = { rank = 4, dropout = 0.05 } }
optimizer = "velvet"
steps = 120
span = 4
stop_when = { patience = 24, min_delta = 1000 }
batch = { tokens = 256, context = 64 }
tensorboard = true
'''
GENERATE = '''schema = "volt.job/1"
workload = "generate"
[generate]
base = "models/tiny"
prompts = "train.jsonl"
temperature = 1
'''
TRAINED = ['states.bin', 'adapter_model.safetensors', 'adapter_config.json', 'metrics.jsonl',
           'loss.svg']
JOB, OUTPUTS = {
    'finetune': (FINETUNE, TRAINED),
    'i8x2': (FINETUNE + 'profile = "i8x2"\n', TRAINED),
    'generate': (GENERATE, ['tokens.bin', 'generated.jsonl']),
}[sys.argv[1]]


def events(path):
    """The records of an event file without their times and checksums."""
    data, records = Path(path, 'events.out.tfevents.volt').read_bytes(), []
    while data:
        size = int.from_bytes(data[:8], 'little')
        assert len(data) >= size + 16, 'the event file is torn'
        records.append(data[21:12 + size])
        data = data[size + 16:]
    return records


def children(pid):
    try:
        return [int(child) for child in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]
    except OSError:
        return []


def stop_once(number):
    command = [run, '-q', 'job.toml', '--threads', str(dice.randint(1, 3))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        process.wait(dice.uniform(0, 1.0))
    except subprocess.TimeoutExpired:
        pass
    how = 'left alone'
    if process.poll() is None:
        how = dice.choice(['parent', 'worker', 'both', 'term'])
        workers = children(process.pid)
        if how in ('worker', 'both'):
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
        if how in ('parent', 'both'):
            process.kill()
        if how == 'term':
            process.terminate()
    said = process.communicate(timeout=60)[1]
    allowed = {0, 5, -signal.SIGKILL, 143} | ({1} if how == 'worker' else set())
    if process.returncode not in allowed:
        sys.exit(f'FAILED  stop {number}: status {process.returncode}: {said}')
    return process.returncode


with tempfile.TemporaryDirectory(prefix='volt-tune-') as work:
    os.chdir(work)
    for name in list(os.environ):
        if name.startswith(('XDG_', 'VOLT_')):
            del os.environ[name]
    os.environ['HOME'] = work + '/home'
    os.mkdir('home')
    os.mkdir('models')
    shutil.copytree(tests / 'vectors/lm/llama', 'models/tiny',
                    ignore=shutil.ignore_patterns('golden*'))
    shutil.copy(tests / 'libvolt/lm/tokenizers/bytes.json', 'models/tiny/tokenizer.json')
    Path('train.jsonl').write_text(''.join(
        json.dumps({'prompt': f'{i}+{i % 7}=', 'completion': str(i + i % 7)}) + '\n'
        for i in range(100)))
    Path('job.toml').write_text(JOB)
    begin = time.monotonic()
    subprocess.run([run, '-q', '-o', 'whole.run', 'job.toml'], check=True)
    steps = Path('whole.run/metrics.jsonl').read_bytes() if OUTPUTS == TRAINED else b''
    if steps and (b'"step":99' not in steps or b'"step":101' in steps):
        sys.exit('FAILED  the rule did not end the undisturbed run after step 100')
    print(f'seed {seed}, {time.monotonic() - begin:.2f} s undisturbed', flush=True)
    for number in range(stops):
        if stop_once(number) in (0, 5):  # it had time to end: from the beginning, then
            shutil.rmtree('job.run', ignore_errors=True)
    last = subprocess.run([run, '-q', 'job.toml'], stdout=subprocess.DEVNULL)
    failures = []
    if last.returncode not in (0, 5):
        failures.append(f'the last start ends with {last.returncode}')
    else:
        for name in OUTPUTS:
            if Path('job.run', name).read_bytes() != Path('whole.run', name).read_bytes():
                failures.append(f'{name} is not that of an undisturbed run')
        if OUTPUTS == TRAINED and events('job.run') != events('whole.run'):
            failures.append('the event file is not that of an undisturbed run')
        if subprocess.run([verify, 'job.run', '--all'], stdout=subprocess.DEVNULL).returncode != 0:
            failures.append('it does not verify')
    for failure in failures:
        print(f'FAILED  {failure}')
    os.chdir('/')
print(f'{1 if not failures else 0} passed, {len(failures)} failed, 0 skipped')
sys.exit(1 if failures else 0)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills runs at random moments, and checks that nothing false is left behind.

usage: kill.py GPU-RUN GPU-VERIFY KILLS [SEED]

After each kill -9 (of the parent, the worker, or both): a folder with receipt.json verifies in whole,
one without is "not found", no process is left, and the next start goes on or starts anew. A run that
completes has the trace root of an undisturbed one.
"""
import base64
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

run, verify = (str(Path(argument).resolve()) for argument in sys.argv[1:3])
kills = int(sys.argv[3])
seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
dice = random.Random(seed)
folder = Path('job.run')
stages = collections.Counter()
failures = []


def fail(what, detail=''):
    failures.append(what)
    print(f'FAILED  {what}: {detail!r}' if detail else f'FAILED  {what}', flush=True)


def write_job(rows):
    """f32x, and a picture, so that more than one output gets its name at the end."""
    Path('job.toml').write_text(
        'schema = "volt.job/1"\nworkload = "matmul"\n[matmul]\n'
        f'a = {{ seed = 1, shape = [{rows}, 2048] }}\nb = {{ seed = 2, shape = [2048, 1024] }}\n'
        'image = "c.pgm"\n')


def call(*command):
    return subprocess.run(command, capture_output=True, text=True, errors='replace', timeout=120)


def trace_root():
    payload = base64.b64decode(json.loads((folder / 'receipt.json').read_text())['payload'])
    return json.loads(payload)['predicate']['trace']['root']


def left_running():
    """Processes in this folder; they were killed, but may take a moment to go."""
    here = os.getcwd()
    for _ in range(100):
        found = []
        for entry in Path('/proc').iterdir():
            try:
                line = (entry / 'cmdline').read_bytes() if entry.name.isdigit() else b''
                if line and int(entry.name) != os.getpid() and os.readlink(entry / 'cwd') == here:
                    found.append((int(entry.name), line))
            except OSError:
                pass
        if not found:
            return []
        time.sleep(0.01)
    return found


def stage():
    """How far the killed run had come, from what it left."""
    hidden = folder / '.volt'
    if not hidden.exists():
        return 'before the folder'
    if (folder / 'receipt.json').exists():
        return 'complete' if not (hidden / 'journal.jsonl').exists() else 'beside a receipt'
    if (folder / 'c.npy').exists():
        return 'while naming outputs'
    journal = hidden / 'journal.jsonl'
    text = journal.read_text() if journal.exists() else ''
    return 'after some pages' if '"pages"' in text else 'before the first page'


def children(pid):
    try:
        return [int(child) for child in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]
    except OSError:
        return []


def kill_once(number, whole_time):
    force = (folder / 'receipt.json').exists() or dice.random() < 0.2
    wait = dice.uniform(0, 1.1 * whole_time)
    victim = dice.choice(['parent', 'worker', 'both'])
    command = [run, 'job.toml', '-q'] + (['--force'] if force else [])
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if dice.random() < 0.2:  # aimed at the outputs getting their names, which takes milliseconds
        work = folder / '.volt/work'
        while process.poll() is None and not (work.exists() and not (work / 'c.npy').exists()):
            pass
        wait = dice.uniform(0, 0.01)
    try:
        process.wait(wait)
    except subprocess.TimeoutExpired:
        pass
    alive = process.poll() is None
    workers = children(process.pid) if alive else []
    if alive and victim != 'worker':
        process.kill()
    if alive and victim != 'parent':
        for worker in workers:
            try:
                os.kill(worker, signal.SIGKILL)
            except ProcessLookupError:
                pass
    try:
        said = process.communicate(timeout=60)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        fail(f'kill {number}: the parent hangs after its worker was killed')
        return
    status = process.returncode
    name = f'kill {number} ({victim} after {wait:.3f} s{", --force" if force else ""})'
    if status not in (0, -signal.SIGKILL) and not (victim == 'worker' and status == 1):
        fail(name + f': status {status}', said)
    if status == 1 and 'the worker was killed' not in said:
        fail(name + ': the death of the worker is not told', said)
    stages[stage() if alive else 'too late'] += 1
    left = left_running()
    if left:
        fail(name + ': left running', left)
        for pid, _ in left:
            os.kill(pid, signal.SIGKILL)
    check(name)


def check(name):
    if not (folder / 'receipt.json').exists():
        if folder.exists():
            end = call(verify, str(folder))
            if end.returncode != 3:
                fail(name + f': no receipt, but gpu-verify ends with {end.returncode}',
                     end.stdout + end.stderr)
        return
    end = call(verify, str(folder), '--all')
    if end.returncode != 0:
        fail(name + f': a receipt that does not verify ({end.returncode})', end.stdout + end.stderr)
    if trace_root() != root:
        fail(name + ': another trace root')
    # Half of the time the next one starts from nothing; else it replaces this one.
    if dice.random() < 0.5:
        call('rm', '-rf', str(folder))
    elif call(run, 'job.toml', '-q').returncode != 5:
        fail(name + ': a complete run was run again')


with tempfile.TemporaryDirectory(prefix='volt-kill-') as work:
    os.chdir(work)
    for name in list(os.environ):
        if name.startswith(('XDG_', 'VOLT_')):
            del os.environ[name]
    os.environ['HOME'] = work + '/home'
    os.mkdir('home')
    rows = 1024
    for _ in range(2):
        write_job(rows)
        begin = time.monotonic()
        call(run, 'job.toml', '-q', '-o', 'measured.run', '--force')
        rows = max(512, min(16384, int(rows * 0.7 / (time.monotonic() - begin))))
    write_job(rows)
    begin = time.monotonic()
    end = call(run, 'job.toml', '-q')
    whole_time = time.monotonic() - begin
    if end.returncode != 0:
        sys.exit('the undisturbed run fails: ' + end.stderr)
    root = trace_root()
    call('rm', '-rf', str(folder))
    print(f'seed {seed}, {rows} rows, {whole_time:.2f} s undisturbed', flush=True)
    bad = 0
    begin = time.monotonic()
    for number in range(1, kills + 1):
        before = len(failures)
        kill_once(number, whole_time)
        bad += len(failures) > before
    # At last it is left alone: it goes on from whatever there is. That counts as one more.
    before = len(failures)
    if not (folder / 'receipt.json').exists():
        end = call(run, 'job.toml', '-q')
        if end.returncode != 0:
            fail(f'the last run ends with {end.returncode}', end.stderr)
    check('the last run')
    bad += len(failures) > before
    for name, count in stages.most_common():
        print(f'{count:5} killed {name}')
    print(f'{time.monotonic() - begin:.1f} s')
    os.chdir('/')
print(f'{kills + 1 - bad} passed, {bad} failed, 0 skipped')
sys.exit(1 if failures else 0)

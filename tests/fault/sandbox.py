#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills gpu-run, its sandbox or the program in it at any moment; nothing may be left behind.

usage: sandbox.py TOOL...        VOLT_CYCLES=1000 for the long form
"""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CYCLES = int(os.environ.get('VOLT_CYCLES', '100'))
# Two of them outlive their parents, in sessions of their own; the marker finds all of them.
PROGRAM = '''import os, subprocess, sys, time
marker = sys.argv[1]
for _ in range(2):
    subprocess.Popen(['sh', '-c', f'setsid sleep {marker} & sleep {marker}'], start_new_session=True)
print('up', flush=True)
time.sleep(600)
'''


def processes():
    """pid -> (parent, command line) of all that live."""
    found = {}
    for entry in Path('/proc').iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / 'stat').read_text()
            state, parent = stat[stat.rindex(')') + 2:].split()[:2]
            if state not in 'ZX':
                line = (entry / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace')
                found[int(entry.name)] = (int(parent), line)
        except OSError:
            pass
    return found


def below(root):
    """Of a process: those below it, the nearest first."""
    everyone = processes()
    order, level = [], [root]
    while level:
        level = [pid for pid, (parent, _) in everyone.items() if parent in level]
        order += level
    return order


def left_behind(marker):
    return [line for _, line in processes().values() if marker in line]


def facts():
    return {'mounts': Path('/proc/mounts').read_text(), 'shm': sorted(os.listdir('/dev/shm'))}


def cycle(work, env, level, number, rng):
    marker = f'7{rng.randrange(10**8):08d}'
    (work / 'job.toml').write_text(f'''schema = "volt.job/1"
workload = "command"
[command]
argv = ["python3", "program.py", "{marker}"]
inputs = {{ "program.py" = "program.py" }}
''')
    run = subprocess.Popen(['gpu-run', 'job.toml', '-o', 'r', '--sandbox', level, '--force'], cwd=work,
                           env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if rng.random() < 0.5:
        run.stdout.readline()  # the program is up
    else:
        time.sleep(rng.random() * 0.08)
    victims = [run.pid, *below(run.pid)[:4]]
    victim = rng.choice(victims)
    try:
        os.kill(victim, rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
    except ProcessLookupError:
        pass
    if victim != run.pid:
        time.sleep(rng.random() * 0.02)
        run.send_signal(signal.SIGTERM)
    try:
        run.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        seen = [(pid, processes()[pid]) for pid in [run.pid, *below(run.pid)]]
        run.kill()
        return f'cycle {number}, {level}: gpu-run does not end: {victim} of {victims}, {seen}'
    deadline = time.monotonic() + 20
    while left_behind(marker):
        if time.monotonic() > deadline:
            return f'cycle {number}, {level}: left behind: {left_behind(marker)}'
        time.sleep(0.01)
    return None


def main():
    tools = sorted({os.path.dirname(os.path.abspath(tool)) for tool in sys.argv[1:]})
    rng = random.Random(20261120)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        work.chmod(0o755)  # root's programs run as somebody else
        env = {'PATH': os.pathsep.join([*tools, '/usr/bin', '/bin']), 'HOME': folder, 'TMPDIR': folder}
        (work / 'program.py').write_text(PROGRAM)
        listed = subprocess.run(['gpu-run', 'devices', '--json'], env=env, stdout=subprocess.PIPE,
                                check=True).stdout
        levels = {entry['level']: entry for entry in json.loads(listed)['sandbox']}
        passed = skipped = 0
        failures = []
        for level in ('namespaces', 'landlock', 'none'):
            if not levels[level]['works']:
                print(f'skipped {level}: {levels[level]["why"]}')
                skipped += 1
                continue
            before = facts()
            for number in range(CYCLES if level != 'none' else CYCLES // 5):
                failure = cycle(work, env, level, number, rng)
                if failure:
                    failures.append(failure)
                    print(failure, flush=True)
                else:
                    passed += 1
            after = facts()
            for kind in before:
                if after[kind] != before[kind]:
                    failures.append(f'{level}: {kind}: {before[kind]} became {after[kind]}')
        strangers = {entry.name for entry in work.iterdir()} - {
            'job.toml', 'program.py', 'r', '.config', '.cache', '.local'}
        if strangers:
            failures.append(f'left in the folder: {strangers}')
    print('\n'.join(failures))
    print(f'{passed} passed, {len(failures)} failed, {skipped} skipped')
    return 1 if failures else 0


sys.exit(main())

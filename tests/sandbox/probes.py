#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes every attempt of probe.c in a sandbox of its own, and says which got out.

usage: probes.py LEVEL PROBE TOOL... [NAME...]

LEVEL is namespaces, landlock or none; PROBE the program made of probe.c; the folders of TOOL are
searched for gpu-run. NAMEs choose some of the attempts.

What an attempt reaches for is set up first: secrets, servers, a process that plays the victim.
Where that is possible it is made outside, too, and must succeed there; otherwise it counts as
skipped. So nothing passes because it was attempted wrongly. Nothing may be left afterwards: no
process, mount, file or System V object. Landlock hides no processes, and does not keep a program
from the modes, owners, times and attributes of its user's files: that is not attempted there.

Exit status: 0; 1 when something got out or went wrong; 77 when the level does not work here.
"""
import ctypes
import json
import os
import re
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

LEVELS = {'namespaces': 1, 'landlock': 2, 'none': 8}
SIGNALS_INSIDE = 4  # Landlock that keeps signals inside: version 6
IPC_KEYS = 0x766f6c  # then a byte of any value
PATIENCE = 40  # seconds until gpu-run is taken to hang
# Seconds until a limit must have ended a program, some of them with a grace of 5; very generous.
LATEST = {'limit': 10, 'forks': 10, 'timed': 11}
MOST_TASKS = 600  # of this whole test, whatever becomes of the sandbox's own limits
# That a run may leave with a disk of 64 MB, which is looked at now and then.
MOST_BYTES = 640 << 20
INPUT = 'an input\n'
VERDICT = re.compile(r'^(contained|ESCAPED|cannot run here): (.*)$', re.M)
JOB = '''schema = "volt.job/1"
workload = "command"
[command]
argv = {argv}
inputs = {{ probe = "probe", "in/data.txt" = "data.txt" }}
{outputs}
[limits]
memory = "256 MB"
disk = "64 MB"
processes = 64
time = "{seconds}s"
'''


class Probe(NamedTuple):
    name: str
    levels: int
    kind: str
    tries: str


class Run(NamedTuple):
    """What came of one attempt; status None: it had to be killed."""
    status: int | None
    seconds: float
    text: str
    reached: bool  # the victim noticed something, or a file was made outside

    def verdict(self):
        found = VERDICT.search(self.text)
        last = f'status {self.status}: {self.text[-300:].strip()}'
        return found.groups() if found else ('', last)


def lines_of(path):
    return Path(path).read_text().splitlines()


def write(path, number):
    with open(path, 'r+') as file:  # makes no file
        file.write(str(number))


def ipc_objects():
    return {line for kind in ('shm', 'sem', 'msg') for line in lines_of(f'/proc/sysvipc/{kind}')[1:]
            if (int(line.split()[0]) & 0xffffffff) >> 8 == IPC_KEYS}


def mounts():
    return {line.split()[4] for line in lines_of('/proc/self/mountinfo')}


def of_processes(name):
    """(pid, content) of that file of each process."""
    for pid in filter(str.isdecimal, os.listdir('/proc')):
        try:
            yield int(pid), Path('/proc', pid, name).read_bytes().decode(errors='replace')
        except OSError:
            pass  # it ended meanwhile


def processes(mark):
    """Those that have `mark` among their arguments."""
    return [pid for pid, text in of_processes('cmdline') if mark in text]


class Bounds:
    """Keeps a bomb that gets out from the machine: all of this test has MOST_TASKS."""

    def __init__(self):
        self.group, self.why_not = None, ''
        if os.geteuid() == 0:  # no limit of its own binds root
            self.enter_group()
        else:
            own = sum(int(re.search(r'^Threads:\s*(\d+)', text, re.M)[1])
                      for _, text in of_processes('status')
                      if int(re.search(r'^Uid:\s*(\d+)', text, re.M)[1]) == os.getuid())
            hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
            most = own + MOST_TASKS
            if hard != resource.RLIM_INFINITY:
                most = min(most, hard)
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))

    def enter_group(self):
        groups = {controllers: path for _, controllers, path in
                  (line.split(':', 2) for line in lines_of('/proc/self/cgroup'))}
        for controllers, root in (('pids', '/sys/fs/cgroup/pids'), ('', '/sys/fs/cgroup')):
            group = Path(root) / f'volt-probes-{os.getpid()}'
            self.before = Path(f'{root}/{groups.get(controllers, "")}') / 'cgroup.procs'
            try:
                group.mkdir()
                self.group = group
                write(group / 'pids.max', MOST_TASKS)
                write(group / 'cgroup.procs', os.getpid())
                return
            except OSError as error:
                self.why_not = f'root without a control group of its own: {error}'
                self.leave()

    def leave(self):
        if not self.group:
            return
        try:
            for pid in lines_of(self.group / 'cgroup.procs'):
                if int(pid) != os.getpid():
                    os.kill(int(pid), signal.SIGKILL)
            write(self.before, os.getpid())
        except OSError:
            pass  # it never was a group, or never entered
        for _ in range(20):  # what was killed takes a moment
            try:
                self.group.rmdir()
                break
            except OSError:
                time.sleep(0.1)
        self.group = None


class Stage:
    """All that attempts reach for, outside any sandbox."""

    def __init__(self, probe, work):
        self.work = work
        self.token = 'VOLT-SECRET-' + secrets.token_hex(12)
        self.mark = 'volt-probe-' + secrets.token_hex(6)  # begins whatever attempts make
        self.folder, home = work / 'folder', work / 'home'
        for folder in (self.folder, work / 'runs', work / 'tmp', home / '.ssh'):
            folder.mkdir(parents=True)
        self.probe = shutil.copy(probe, work / 'probe')
        self.secret = self.folder / 'result.txt'
        shared = Path('/dev/shm') / f'{self.mark}.shared'
        kept = Path.home() / f'.{self.mark}'
        self.hidden = [self.secret, home / '.ssh/id', shared, kept]
        for path in self.hidden:
            try:
                path.write_text(self.token)
            except OSError:
                pass  # the attempt at it is skipped then
        kept_names = ('PATH', 'LD_LIBRARY_PATH', 'ASAN_OPTIONS', 'UBSAN_OPTIONS')
        self.env = {name: os.environ[name] for name in kept_names if name in os.environ}
        self.env |= {'HOME': str(home), 'TMPDIR': str(work / 'tmp'), 'LANG': 'C.UTF-8',
                     'VOLT_CANARY': self.token}
        self.sockets = self.open_sockets()
        tcp, udp = (self.sockets[name].getsockname()[1] for name in ('tcp', 'udp'))
        self.inherited = [os.open(home / '.ssh/id', os.O_RDONLY),
                          self.sockets['inherited'].fileno()]
        self.coordinates = [
            f'secret={self.secret}', f'folder={self.folder}', f'home={home}', f'kept={kept}',
            f'shared={shared.name}', f'socket={work}/socket', f'abstract={self.mark}',
            f'tcp={tcp}', f'udp={udp}']
        self.mounts, self.ipc_objects = mounts(), ipc_objects()

    def open_sockets(self):
        def listen(family, kind, address):
            listener = socket.socket(family, kind)
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen(64)
            return listener

        def echo(server):
            while True:
                server.sendto(*server.recvfrom(16))

        other, inherited = socket.socketpair()
        udp = listen(socket.AF_INET, socket.SOCK_DGRAM, ('127.0.0.1', 0))
        threading.Thread(target=echo, args=[udp], daemon=True).start()
        return {'udp': udp, 'other': other, 'inherited': inherited,
                'tcp': listen(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', 0)),
                'path': listen(socket.AF_UNIX, socket.SOCK_STREAM, f'{self.work}/socket'),
                'abstract': listen(socket.AF_UNIX, socket.SOCK_STREAM, '\0' + self.mark)}

    def start_victim(self):
        victim = subprocess.Popen(
            [self.probe, 'victim', f'secret={self.secret}'], cwd=self.folder, env=self.env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        return victim, [line.decode().strip() for line in iter(victim.stdout.readline, b'ready\n')]

    def files_made(self, mark):
        places = ['/dev/shm', '/tmp', '/usr', '/etc', self.folder]
        return [path for place in places for path in Path(place).glob(f'{mark}*')
                if path.suffix != '.scratch']

    def left(self):
        """What is there that was not, in words."""
        words = [f'process {pid}' for pid in processes(self.mark + '-')]
        words += [f'mount {path}' for path in mounts() - self.mounts]
        words += [f'System V object {line.split()[1]}' for line in ipc_objects() - self.ipc_objects]
        words += [str(path) for path in (self.work / 'tmp').iterdir()]
        cores = subprocess.run(['find', self.work, '-name', 'core*', '-type', 'f'],
                               capture_output=True, text=True).stdout
        return words + cores.splitlines()

    def left_for_good(self):
        for _ in range(20):
            if not (left := self.left()):
                break
            time.sleep(0.1)
        return left

    def close(self):
        for pid in processes(self.mark + '-'):
            os.kill(pid, signal.SIGKILL)
        for path in self.hidden:
            path.unlink(missing_ok=True)


class Attempt:
    """One probe, in a folder of its own: made outside, or by gpu-run."""

    def __init__(self, stage, probe, where):
        self.stage, self.probe = stage, probe
        self.mark = f'{stage.mark}-{probe.name}-{where}'
        self.work = stage.work / self.mark
        (self.work / 'in').mkdir(parents=True)
        self.data = self.work / 'data.txt'
        for path in (self.data, self.work / 'in/data.txt', stage.folder / f'{self.mark}.scratch'):
            path.write_text(INPUT)
        shutil.copy(stage.probe, self.work)
        self.folder = stage.work / 'runs' / self.mark

    def outside(self):
        victim, found = self.stage.start_victim()
        # Its parent is a shell, so that parents may be attacked.
        command = ['sh', '-c', '"$@"; exit $?', 'sh', './probe', *self.arguments(found, victim.pid)]
        return self.run(command, victim)

    def inside(self, gpu_run, level, *more):
        victim, found = self.stage.start_victim()
        output = 'sub/result.txt' if self.probe.name == 'out_below_link' else 'result.txt'
        (self.work / 'job.toml').write_text(JOB.format(
            argv=json.dumps(['./probe', *self.arguments(found, -1)]),
            outputs=f'{"outputs" if self.probe.kind == "output" else "optional"} = ["{output}"]',
            seconds=1 if self.probe.kind == 'timed' else 20))
        return self.run([gpu_run, 'job.toml', '--sandbox', level, '-o', self.folder, '--force',
                         *more], victim)

    def arguments(self, victim, everyone):
        """Of the probe. `everyone`: whom kill(2) is to reach; outside that is the victim alone."""
        return [self.probe.name, f'mark={self.mark}', f'all={everyone}',
                f'scratch={self.stage.folder}/{self.mark}.scratch', *self.stage.coordinates,
                *victim]

    def run(self, command, victim):
        env, master, slave = dict(self.stage.env), None, None
        if self.probe.name == 'env_preload':
            env['LD_PRELOAD'] = '/volt-canary.so'
        if self.probe.kind == 'tty':  # what opens it first has it as its controlling terminal
            master, slave = os.openpty()
            command = ['sh', '-c', 'tty=$1; shift; exec "$@" <"$tty" >"$tty" 2>&1', 'sh',
                       os.ttyname(slave), *command]
        start = time.monotonic()
        with open(self.work / 'printed', 'w+b') as printed, open(self.stage.secret) as stdin:
            process = subprocess.Popen(
                command, cwd=self.work, env=env, stdin=stdin, stdout=printed,
                stderr=subprocess.STDOUT, start_new_session=True, pass_fds=self.stage.inherited)
            try:
                status = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                status = None
            seconds = time.monotonic() - start
            size = printed.seek(0, os.SEEK_END)
            printed.seek(max(0, size - (1 << 16)))
            text = printed.read().decode(errors='replace')
        if master:
            os.set_blocking(master, False)
            text += os.read(master, 1 << 16).decode(errors='replace').replace('\r', '')
            os.close(master)
            os.close(slave)
        died = victim.poll() is not None
        heard, _ = victim.communicate()
        made = self.stage.files_made(self.mark)
        for path in made:
            path.unlink()
        return Run(status, seconds, text, died or bool(heard or made))

    def files(self):
        for top, folders, names in os.walk(self.folder):
            if len(top) > 2048:  # far below what the kernel takes as a path
                folders.clear()
            yield from (Path(top) / name for name in names)
            yield from (path for name in folders if (path := Path(top) / name).is_symlink())

    def trespass(self, run):
        """What of the attempt shows outside, whatever it says of itself; empty: nothing."""
        if run.reached:
            return 'it was noticed outside'
        if self.data.read_text() != INPUT or self.data.stat().st_nlink != 1:
            return 'the file of an input is another'
        if left := {pid for _ in range(3) for pid in processes(self.mark)}:  # some are hard to see
            return f'it left {len(left)} processes'
        if self.stage.token in run.text:
            return 'it printed a secret'
        size = 0
        for path in self.files():
            kept = '.volt' in path.relative_to(self.folder).parts  # as the program left it
            if path.is_symlink():
                if not kept and not path.resolve().is_relative_to(self.folder):
                    return f'{path.name} links to {path.readlink()}'
            elif path.is_file():
                size += path.stat().st_blocks * 512
                if not os.access(path, os.R_OK):
                    continue
                with open(path, 'rb') as file:
                    if self.stage.token.encode() in file.read(1 << 20):
                        return f'{path.name} holds a secret'
            elif not kept:
                return f'{path.name} is no file'
        return f'it left {size >> 20} MB' if size > MOST_BYTES else ''

    def judge(self, run):
        """(word, why) of a run inside."""
        if run.status is None:
            return 'FAILED', f'gpu-run did not end within {PATIENCE} s'
        if why := self.trespass(run):
            return 'ESCAPED', why
        word, why = run.verdict()
        if self.probe.kind in LATEST:
            return self.judge_limit(run, word, why)
        if self.probe.kind == 'output':  # its job may fail, and a limit may end it
            crashed = run.status not in (0, 125, 137)
            return 'FAILED' if crashed else 'contained', f'status {run.status}'
        expected = {'contained': 139 if self.probe.name == 'core' else 0, 'ESCAPED': 1}
        if word == 'cannot run here':
            return 'skipped', why
        if not word or run.status != expected[word]:
            return 'FAILED', f'status {run.status}: {why}'
        return word, why

    def judge_limit(self, run, word, why):
        statuses = {124} if self.probe.kind == 'timed' else {124, 137}
        try:
            ended = json.loads((self.folder / 'run.json').read_bytes()).get('ended')
        except (OSError, ValueError):
            ended = None
        if run.seconds > LATEST[self.probe.kind]:
            return 'ESCAPED', f'it ran for {run.seconds:.1f} s'
        if ended == 'limit' and run.status in statuses:
            return 'contained', f'ended by a limit after {run.seconds:.1f} s'
        if word == 'contained' and run.status == 0 and self.probe.kind != 'timed':
            return word, why
        return 'ESCAPED' if word == 'ESCAPED' else 'FAILED', f'ended: {ended}; {why}'


def attempt(stage, probe, gpu_run, level):
    """(word, why): contained, skipped, ESCAPED, or FAILED, which is none of these."""
    why = ''
    if probe.kind in ('control', 'tty'):
        run = Attempt(stage, probe, 'outside').outside()
        word, said = run.verdict()
        why = '' if word == 'ESCAPED' or run.reached else f'outside as well: {said}'
    inside = Attempt(stage, probe, 'inside')
    result = inside.judge(inside.inside(gpu_run, level))
    if result[0] == 'FAILED':  # once more: what did not come to an attempt says nothing of the sandbox
        inside = Attempt(stage, probe, 'again')
        result = inside.judge(inside.inside(gpu_run, level))
    return ('skipped', why) if result[0] == 'contained' and why else result


def why_not(stage, probe, gpu_run, level):
    """Why the level does not work on this machine; empty when it does."""
    answer = subprocess.run([gpu_run, 'devices', '--json'], env=stage.env, capture_output=True)
    try:
        for row in json.loads(answer.stdout).get('sandbox', []):
            if row['level'] == level and not row['works']:
                return row['why']
    except ValueError:
        pass  # the job below tells as well
    run = Attempt(stage, probe, 'works').inside(gpu_run, level, '--json')
    refused = run.status != 0 and '"class":"sandbox"' in run.text.replace(' ', '')
    return run.text.strip() if refused else ''


def results(probes, try_one):
    """What comes of each, in this order; those that fork wildly have the machine to themselves."""
    with ThreadPoolExecutor(2) as pool:
        tame = [probe for probe in probes if probe.kind != 'forks']
        yield from zip(tame, pool.map(try_one, tame))
    for probe in probes:
        if probe.kind == 'forks':
            yield probe, try_one(probe)


def main(level, program, *rest):
    gpu_run = shutil.which('gpu-run', path=os.pathsep.join(
        str(Path(tool).resolve().parent) for tool in rest if os.sep in tool))
    names = [name for name in rest if os.sep not in name]
    mask = LEVELS[level]
    if level == 'landlock' and ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) >= 6:
        mask |= SIGNALS_INSIDE
    listed = subprocess.run([program, 'list'], capture_output=True, text=True, check=True).stdout
    rows = (line.split('\t') for line in listed.splitlines())
    probes = [Probe(name, int(levels), kind, tries) for name, levels, kind, tries in rows]
    chosen = [probe for probe in probes
              if probe.levels & mask and (not names or probe.name in names)]
    counts, bounds = Counter(), Bounds()
    work = Path(tempfile.mkdtemp(prefix='volt-probes-'))
    work.chmod(0o755)  # root's programs run as another user, who must get to their folders
    stage = Stage(program, work)

    def try_one(probe):
        if probe.kind == 'forks' and bounds.why_not:
            return 'skipped', bounds.why_not
        return attempt(stage, probe, gpu_run, level)

    try:
        if why := why_not(stage, probes[0], gpu_run, level):
            print(f'{level} does not work here: {why}')
            return 77
        for probe, (word, why) in results(chosen, try_one):
            counts[word] += 1
            print(f'{word:9} {probe.name}: {probe.tries}: {why}', flush=True)
        for what in stage.left_for_good():
            counts['FAILED'] += 1
            print(f'FAILED    left behind: {what}')
    finally:
        stage.close()
        bounds.leave()
        # What was left there may be deep, or locked.
        subprocess.run(['chmod', '-R', 'u+rwX', work], stderr=subprocess.DEVNULL)
        subprocess.run(['rm', '-rf', work])
    print(f'{level}: ' + ', '.join(f'{counts[word]} {word}' for word in
                                   ('contained', 'skipped', 'ESCAPED', 'FAILED')))
    return 1 if counts['ESCAPED'] + counts['FAILED'] else 0


sys.exit(main(*sys.argv[1:]))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs *.test files: transcripts of a shell session, with the files it needs behind them.

usage: transcript.py TEST-FILE|FOLDER|TOOL...

Above "-- NAME --" lines, which begin the files, each line is a comment (#) or a command, in a fresh
folder $WORK with a home of its own; $TESTS is the folder of all tests. Words are quoted as in sh; $NAME is replaced outside patterns.

  [!|exit N] PROGRAM WORD...  runs it: must end with 0 (with !: any but 0; with exit: N)
  [!|exit N] sh LINE          the same for a line of /bin/sh
  stdin FILE                  what the next program reads; nothing otherwise
  [!] stdout REGEX            of what the last program wrote; ! stdout . means nothing at all
  [!] stderr REGEX
  [!] grep REGEX FILE
  [!] cmp FILE FILE           FILE may be stdout or stderr
  [!] exists PATH
  json KEY REGEX              the whole value at KEY (a.b.0) in the last line of stdout
  jsonl                       each line of stdout is one JSON object with a schema
  capture NAME REGEX          sets $NAME to the first group found in stdout
  env NAME=VALUE, unset NAME
  npy FILE DTYPE SHAPE        a tensor of small numbers: npy a.npy f4 8x4
  skip-unless LINE WHY        ends the test when the shell line fails
"""
import json
import math
import os
import re
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


class Transcript:
    def __init__(self, path, tools, work):
        self.work = Path(work).resolve()
        self.status, self.stdout, self.stderr, self.stdin = None, '', '', '/dev/null'
        home = self.work / 'home'
        kept = {name: value for name, value in os.environ.items()
                if name.endswith('SAN_OPTIONS') or name == 'LD_LIBRARY_PATH'}
        self.env = {'PATH': os.pathsep.join([*tools, os.environ['PATH']]), 'LANG': 'C.UTF-8',
                    'WORK': str(self.work), 'TESTS': str(path.resolve().parent.parent), 'TMPDIR': str(self.work), 'HOME': str(home),
                    'XDG_CONFIG_HOME': str(home / '.config'),
                    'XDG_STATE_HOME': str(home / '.local/state'),
                    'XDG_CACHE_HOME': str(home / '.cache'), **kept}
        home.mkdir()
        script, *files = re.split(r'^-- (\S+) --\n', path.read_text(), flags=re.M)
        for name, text in zip(files[::2], files[1::2]):
            target = self.work / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        self.lines = script.splitlines()

    def play(self):
        for number, line in enumerate(self.lines, 1):
            if not line.strip() or line.startswith('#'):
                continue
            try:
                self.obey(shlex.split(line))
            except Failed as failure:
                raise Failed(f'line {number}: {line}\n{failure}') from None
        left = self.end_processes()
        if left:
            raise Failed('left running: ' + ', '.join(left))

    def obey(self, words):
        negated, wanted = False, 0
        if words[0] == '!':
            negated, words = True, words[1:]
        elif words[0] == 'exit':
            wanted, words = int(words[1]), words[2:]
        name, *rest = words
        command = getattr(self, 'do_' + name.replace('-', '_'), None)
        if command is None:
            line = rest[0] if name == 'sh' else [self.expand(word) for word in words]
            self.run(line, negated, wanted)
            return
        if name not in ('stdout', 'stderr', 'grep', 'capture', 'json'):
            rest = [self.expand(word) for word in rest]
        result = command(*rest)
        if result is not None and result == negated:
            raise Failed(self.last())

    def expand(self, word):
        return re.sub(r'\$(\w+)', lambda match: self.env.get(match[1], ''), word)

    def run(self, command, negated, wanted):
        with (tempfile.TemporaryFile('w+', errors='replace', newline='') as out,
              tempfile.TemporaryFile('w+', errors='replace', newline='') as err,
              open(self.work / self.stdin) as given):
            if isinstance(command, str):
                command = ['/bin/sh', '-c', command]
            child = subprocess.Popen(command, cwd=self.work, env=self.env, stdin=given, stdout=out,
                                     stderr=err, start_new_session=True)
            try:
                self.status = child.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                raise Failed('still running after a minute') from None
            out.seek(0)
            err.seek(0)
            self.stdout, self.stderr = out.read(), err.read()
        self.stdin = '/dev/null'
        if (self.status == 0) if negated else (self.status != wanted):
            raise Failed(self.last())

    def last(self):
        def tail(name, text):
            return ''.join(f'  {name}: {line[:300]}\n' for line in text.splitlines()[-12:])
        return (f'  status {self.status}\n' + tail('stdout', self.stdout) +
                tail('stderr', self.stderr)).rstrip()

    def bytes_of(self, name):
        if name in ('stdout', 'stderr'):
            return getattr(self, name).encode()
        path = self.work / name
        if not path.is_file():
            raise Failed(f'  no file {name}\n' + self.last())
        return path.read_bytes()

    def do_stdin(self, name):
        self.stdin = name

    def do_stdout(self, pattern):
        return re.search(pattern, self.stdout, re.M) is not None

    def do_stderr(self, pattern):
        return re.search(pattern, self.stderr, re.M) is not None

    def do_grep(self, pattern, name):
        text = self.bytes_of(self.expand(name)).decode(errors='replace')
        return re.search(pattern, text, re.M) is not None

    def do_cmp(self, one, other):
        return self.bytes_of(one) == self.bytes_of(other)

    def do_exists(self, name):
        return os.path.lexists(self.work / name)

    def do_json(self, key, pattern):
        try:
            value = json.loads(self.stdout.splitlines()[-1])
            for part in key.split('.'):
                value = value[int(part) if isinstance(value, list) else part]
        except (ValueError, LookupError, TypeError):
            return False
        text = value if isinstance(value, str) else json.dumps(value)
        return re.fullmatch(pattern, text) is not None

    def do_jsonl(self):
        for line in self.stdout.removesuffix('\n').split('\n'):
            try:
                if not re.fullmatch(r'volt\.[a-z]+/1', json.loads(line)['schema']):
                    return False
            except (ValueError, LookupError, TypeError):
                return False
        return self.stdout.endswith('\n')

    def do_capture(self, name, pattern):
        match = re.search(pattern, self.stdout, re.M)
        if match:
            self.env[name] = match[1]
        return match is not None

    def do_env(self, setting):
        name, _, value = setting.partition('=')
        self.env[name] = value

    def do_unset(self, name):
        self.env.pop(name, None)

    def do_npy(self, name, dtype, shape):
        extents = [int(extent) for extent in shape.split('x')]
        letter = {'f4': 'f', 'f8': 'd', 'i1': 'b', 'i4': 'i'}[dtype]
        order = '|' if dtype == 'i1' else '<'
        shown = ', '.join(map(str, extents)) + (',' if len(extents) == 1 else '')
        head = f"{{'descr': '{order}{dtype}', 'fortran_order': False, 'shape': ({shown}), }}"
        head += ' ' * (-(len(head) + 11) % 64) + '\n'
        values = [i * 7 % 13 - 6 for i in range(math.prod(extents))]
        (self.work / name).write_bytes(b'\x93NUMPY\x01\x00' + struct.pack('<H', len(head)) +
                                         head.encode() + struct.pack(f'<{len(values)}{letter}', *values))

    def do_skip_unless(self, line, why):
        test = subprocess.run(['/bin/sh', '-c', line], cwd=self.work, env=self.env,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if test.returncode != 0:
            raise Skipped(why)

    def running(self):
        for entry in Path('/proc').iterdir():
            try:
                if entry.name.isdigit() and Path(os.readlink(entry / 'cwd')).is_relative_to(self.work):
                    line = (entry / 'cmdline').read_bytes().replace(b'\0', b' ')
                    yield int(entry.name), line.decode(errors='replace').strip()
            except OSError:
                pass

    def end_processes(self):
        """Ends what still runs in the test's folder, and tells what that was."""
        for _ in range(20):  # what was killed a moment ago may take one to go
            found = [(pid, line) for pid, line in self.running() if line]
            if not found:
                return []
            time.sleep(0.05)
        for pid, _ in found:
            os.kill(pid, signal.SIGKILL)
        return [line for _, line in found]


def main(arguments):
    tests, tools = [], []
    for argument in map(Path, arguments):
        if argument.is_dir():
            tests += sorted(argument.glob('*.test'))
        elif argument.suffix == '.test':
            tests.append(argument)
        elif str(argument.resolve().parent) not in tools:
            tools.append(str(argument.resolve().parent))
    passed = failed = skipped = 0
    for path in tests:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix='volt-test-') as work:
            transcript = Transcript(path, tools, work)
            try:
                transcript.play()
                passed += 1
                print(f'ok      {path.stem} ({time.monotonic() - begin:.1f} s)', flush=True)
            except Skipped as why:
                skipped += 1
                print(f'skipped {path.stem}: {why}', flush=True)
            except Failed as failure:
                failed += 1
                print(f'FAILED  {path.stem}, {failure}', flush=True)
            finally:
                transcript.end_processes()
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

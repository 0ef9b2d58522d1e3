#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Unpacks a release in another place than it was made in, where everything is against it, and uses
it.

usage: elsewhere.py PACK BUILD-FOLDER TRANSCRIPT-PLAYER TEST...
"""
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

passed = failed = skipped = 0


def check(what, good, detail=''):
    global passed, failed
    passed += bool(good)
    failed += not good
    print(('ok      ' if good else 'FAILED  ') + what + ('' if good else f': {detail}'), flush=True)


def call(command, **environment):
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False,
                          timeout=120, stdin=subprocess.DEVNULL)


def show(done):
    return f'status {done.returncode}\n{done.stdout}{done.stderr}'


def pack(packer, build, folder):
    """The tarball, and its folder unpacked in a place whose name is none for scripts."""
    done = subprocess.run([sys.executable, packer, build, folder / 'made'], capture_output=True,
                          text=True, check=False)
    check('a release is made', done.returncode == 0, show(done))
    if done.returncode != 0:
        sys.exit(1)
    tarball = Path(done.stdout.splitlines()[0])
    with tarfile.open(tarball) as tar:
        check('all in it is root\'s and of one time',
              {(entry.uid, entry.mtime) for entry in tar} == {(0, tar.getmember(
                  tarball.name.removesuffix('.tar.gz')).mtime)})
        tar.extractall(folder / "el se'where")
    shutil.rmtree(folder / 'made')
    return next((folder / "el se'where").iterdir())


def check_libraries(root):
    for tool in sorted((root / 'bin').iterdir()):
        # Asks the loader what it loads, as ldd does.
        lines = call([tool], LD_TRACE_LOADED_OBJECTS='1').stdout.splitlines()
        files = [line.split(' (0x')[0].split('=> ')[-1].strip() for line in lines]
        strange = [file for file in files if 'linux-vdso' not in file
                   and not Path(file).resolve().is_relative_to(root.resolve())]
        check(f'{tool.name} loads nothing of the system', len(files) > 5 and not strange, lines)


def check_start(root, folder):
    version = call([root / 'bin' / 'gpu-run', '--version'])
    check('it starts with no environment at all', version.returncode == 0 and not version.stderr,
          show(version))
    (folder / 'links').mkdir()
    (folder / 'links' / 'gpu-run').symlink_to(root / 'bin' / 'gpu-run')
    linked = call(['sh', '-c', 'exec gpu-run --version'], PATH=f'{folder / "links"}:/usr/bin:/bin')
    check('it starts through a link in PATH', linked.stdout == version.stdout, show(linked))
    (root / 'lib').rename(root / 'lib.away')
    alone = call([root / 'bin' / 'gpu-run', '--version'])
    (root / 'lib.away').rename(root / 'lib')
    check('without its libraries it says so', alone.returncode == 127
          and f'cannot load {root}/lib/volt/ld-linux' in alone.stderr, show(alone))


def hostile(folder):
    """What would break the tools at once, if they took it, and nothing else that tests run."""
    (folder / 'hostile').mkdir()
    for name in ('libseccomp.so.2', 'libstdc++.so.6', 'libcurl.so.4', 'libssl.so.3'):
        (folder / 'hostile' / name).write_text('no library')
    return {'LD_LIBRARY_PATH': str(folder / 'hostile'), 'LD_PRELOAD': 'libseccomp.so.2'}


def check_environment(root, folder, against):
    """A program gets nothing of all this; the line of --then gets what the person has."""
    job = folder / 'job.toml'
    job.write_text('schema = "volt.job/1"\nworkload = "command"\n[command]\nargv = ["env"]\n')
    for level in ('namespaces', 'landlock', 'none'):
        run = folder / f'{level}.run'
        done = call([root / 'bin' / 'gpu-run', job, '-o', run, '--sandbox', level, '--exit-class',
                     '--then', f'env > "{run}/then"'],
                    HOME=str(folder), PATH=os.environ['PATH'], **against)
        if done.returncode == 12:
            global skipped
            skipped += 1
            print(f'skipped a program at {level}: this system refuses it')
            continue
        check(f'a program at {level} has its own environment alone',
              done.returncode == 0 and 'PATH=' in done.stdout and 'LD_' not in done.stdout
              and str(root) not in done.stdout, show(done))
        then = (run / 'then').read_text().splitlines()
        check(f'--then after {level} has the person\'s',
              all(f'{name}={value}' in then for name, value in against.items()), then)


def main(packer, build, player, *tests):
    with tempfile.TemporaryDirectory(prefix='volt-test-') as name:
        folder = Path(name)
        folder.chmod(0o755)  # root's programs run as another user
        root = pack(packer, build, folder)
        check_libraries(root)
        check_start(root, folder)
        against = hostile(folder)
        check_environment(root, folder, against)
        # The player keeps LD_LIBRARY_PATH; a preload of no library would make all else complain.
        del against['LD_PRELOAD']
        tools = sorted((root / 'bin').iterdir())
        begin = time.monotonic()
        played = call([sys.executable, player, *tests, *tools], PATH=os.environ['PATH'], **against)
        check(f'{len(tests)} transcripts ({time.monotonic() - begin:.1f} s)',
              played.returncode == 0, show(played))
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))

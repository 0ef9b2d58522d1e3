#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs jobs where there is no room, or no permission, and again once there is.

usage: disk.py GPU-RUN GPU-VERIFY

Each time: exit 15, one clear line, nothing that looks complete; then the same command succeeds.
Small file systems are mounted in a namespace of our own, which root may make, and others often.
"""
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

run, verify = (str(Path(argument).resolve()) for argument in sys.argv[1:3])
counts = {'ok': 0, 'FAILED': 0, 'skipped': 0}


def report(word, what, detail=''):
    counts[word] += 1
    print(f'{word:7} {what}' + (f': {detail}' if detail else ''), flush=True)


def call(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, errors='replace', timeout=120,
                          stdin=subprocess.DEVNULL, **options)


def write_job(path, rows, more=''):
    path.write_text('schema = "volt.job/1"\nname = "job"\nworkload = "matmul"\n[matmul]\n'
                    f'a = {{ seed = 1, shape = [{rows}, 64] }}\n'
                    f'b = {{ seed = 2, shape = [64, 1024] }}\n{more}')


def refused(end, folder, *words):
    """Why that is not how a run without room ends; empty when it is."""
    said = f'status {end.returncode}, {end.stdout + end.stderr}'
    if end.returncode != 15 or end.stdout:
        return 'not exit 15: ' + said
    if len(end.stderr.splitlines()) > 2 or 'bug' in end.stderr:
        return 'not one clear line: ' + said
    for word in words:
        if word not in end.stderr:
            return f'no word of "{word}": ' + said
    if (folder / 'receipt.json').exists():
        return 'there is a receipt'
    if folder.is_dir() and call(verify, folder).returncode != 3:
        return 'gpu-verify does not say "not found"'
    return ''


def complete(end, folder):
    if end.returncode != 0:
        return f'with room again: status {end.returncode}, {end.stderr}'
    end = call(verify, folder, '--all')
    return '' if end.returncode == 0 else 'does not verify: ' + end.stdout + end.stderr


def judge(what, *whys):
    why = next(filter(None, whys), '')
    report('FAILED' if why else 'ok', what, why)


def mount(folder, size):
    folder.mkdir(exist_ok=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', folder], check=True)


def remount(folder, options):
    subprocess.run(['mount', '-o', f'remount,{options}', folder], check=True)


def unmount(folder):
    subprocess.run(['umount', folder], check=True)


def small_disks(work):
    job, disk = work / 'job.toml', work / 'disk'
    folder = disk / 'job.run'
    command = (run, '-q', job, '-o', folder)

    write_job(job, 1024)
    mount(disk, '2m')
    why = refused(call(*command), folder, 'the output needs 4.19 MB more', 'hint: free some disk')
    remount(disk, 'size=64m')
    judge('too small a disk is seen before the work', why, complete(call(*command), folder))
    unmount(disk)

    write_job(job, 1024, 'image = "c.pgm"\n')
    mount(disk, '4500k')
    why = refused(call(*command), folder, 'No space left on device')
    remount(disk, 'size=64m')
    judge('a disk that fills up during the work', why, complete(call(*command), folder))
    unmount(disk)

    # From room for the output alone, page by page, to room for all: wherever it ends, all is well.
    write_job(job, 256)
    whys, refusals, runs = [], 0, 0
    for pages in range(256, 290):
        mount(disk, pages * 4096)
        end = call(*command)
        if end.returncode == 0:
            runs += 1
            whys.append(complete(end, folder))
        else:
            refusals += 1
            whys.append(refused(end, folder, 'hint: '))
            remount(disk, 'size=64m')
            whys.append(complete(call(*command), folder))
        whys[-1] = whys[-1] and f'{pages} pages: {whys[-1]}'
        unmount(disk)
    whys.append('' if refusals and runs else f'{refusals} refused, {runs} ran: the sizes are wrong')
    judge(f'a disk that ends anywhere ({refusals} sizes refused, {runs} enough)', *whys)

    # Replacing a complete run needs room for both; without it the old one stays whole.
    write_job(job, 256)
    mount(disk, '1536k')
    whys = [complete(call(*command), folder)]
    end = call(*command, '--force')
    whys.append('' if end.returncode == 15 else f'--force: status {end.returncode}, {end.stderr}')
    end = call(verify, folder, '--all')
    whys.append('' if end.returncode == 0 else 'the old run is damaged: ' + end.stdout + end.stderr)
    remount(disk, 'size=64m')
    whys.append(complete(call(*command, '--force'), folder))
    judge('a full disk under --force keeps the earlier run', *whys)
    unmount(disk)

    mount(disk, '8m')
    remount(disk, 'ro')
    why = refused(call(*command), folder, 'Read-only file system')
    remount(disk, 'rw')
    judge('a read-only disk', why, complete(call(*command), folder))
    unmount(disk)

    # The key is written once, whole or not at all.
    folder = work / 'keyless.run'
    mount(disk, '4k')
    environment = {**os.environ, 'XDG_CONFIG_HOME': str(disk)}
    command = (run, '-q', job, '-o', folder)
    (disk / 'filler').write_bytes(bytes(4096))
    why = refused(call(*command, env=environment), folder)
    remount(disk, 'size=1m')
    judge('no room for the key', why, complete(call(*command, env=environment), folder))
    unmount(disk)


def commands(work):
    """A command whose outputs are copied when they are collected: the disk may be full for the
    program, for the copies, or for the receipt."""
    job, disk = work / 'command.toml', work / 'disk'
    job.write_text('schema = "volt.job/1"\nname = "job"\nworkload = "command"\n[command]\n'
                   'argv = ["sh", "-c", "head -c 60000 /dev/zero > a && ln a b && ln a c"]\n'
                   'outputs = ["a", "b", "c"]\n')
    folder = disk / 'job.run'
    command = (run, '-q', '--exit-class', job, '-o', folder)
    whys, classes = [], {}
    for pages in range(14, 74, 3):
        mount(disk, pages * 4096)
        os.chmod(disk, 0o755)
        end = call(*command)
        classes[end.returncode] = classes.get(end.returncode, 0) + 1
        why = '' if end.returncode in (0, 10, 15) else f'status {end.returncode}, {end.stderr}'
        if end.returncode != 0:
            why = why or ('there is a receipt' if (folder / 'receipt.json').exists() else '')
            remount(disk, 'size=64m')
            end = call(*command)
        seen = call(verify, folder)
        if end.returncode != 0 or seen.returncode != 0:
            why = why or f'with room: {end.returncode}, {end.stderr}, {seen.stdout}{seen.stderr}'
        whys.append(why and f'{pages} pages: {why}')
        unmount(disk)
    whys.append('' if {0, 15} <= classes.keys() else f'{classes}: the sizes are wrong')
    judge(f'a disk that fills up under a command {classes}', *whys)


def limits(work):
    """ulimit -f, as batch systems set it: the process is told by a signal, or by EFBIG."""
    job = work / 'limits.toml'
    write_job(job, 1024)
    for name, handler in (('SIGXFSZ', signal.SIG_DFL), ('SIGXFSZ ignored', signal.SIG_IGN)):
        folder = work / f'limits-{name.replace(" ", "-")}.run'
        command = (run, '-q', job, '-o', folder)

        def limit():
            signal.signal(signal.SIGXFSZ, handler)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
        why = refused(call(*command, preexec_fn=limit, restore_signals=False), folder, 'File too large')
        judge(f'a file size limit ({name})', why, complete(call(*command), folder))


def permissions(work):
    """What root may do anywhere, others may not."""
    job = work / 'permissions.toml'
    write_job(job, 64)
    place, home = work / 'place', work / 'nobody'
    place.mkdir()
    home.mkdir()
    options = {'cwd': '/', 'env': {**os.environ, 'HOME': str(home)}}
    if os.geteuid() == 0:
        options.update(user=65534, group=65534, extra_groups=[])
        os.chown(home, 65534, 65534)
        try:
            if call(run, '--version', **options).returncode != 0:
                raise OSError('others than root cannot run the tool')
        except OSError as why:
            report('skipped', 'folders without permission', why)
            return
    place.chmod(0o555)
    folder = place / 'job.run'
    command = (run, '-q', job, '-o', folder)
    why = refused(call(*command, **options), folder, 'Permission denied', 'hint: ')
    place.chmod(0o777)
    judge('a folder where nothing may be written', why, complete(call(*command, **options), folder))

    folder = place / 'other.run'
    folder.mkdir()
    folder.chmod(0o555)
    command = (run, '-q', job, '-o', folder)
    folder.chmod(0o777)
    end = call(*command, **options)
    judge('a run folder of somebody else', '' if end.returncode == 5 and 'not a folder of yours' in end.stderr
          else f'status {end.returncode}, {end.stderr}')


def own_namespace():
    """Starts this program anew where it may mount; returns when it already is, or cannot be."""
    if 'VOLT_TEST_MOUNTS' in os.environ:
        return os.environ.pop('VOLT_TEST_MOUNTS') == 'yes'
    ways = [['unshare', '--mount']] if os.geteuid() == 0 else []
    for way in ways + [['unshare', '--user', '--map-root-user', '--mount']]:
        try:
            if call(*way, 'sh', '-c', 'mount -t tmpfs tmpfs /mnt').returncode == 0:
                os.execvpe(way[0], way + [sys.executable] + sys.argv,
                           {**os.environ, 'VOLT_TEST_MOUNTS': 'yes'})
        except OSError:
            pass
    return False


may_mount = own_namespace()
with tempfile.TemporaryDirectory(prefix='volt-disk-') as name:
    os.chmod(name, 0o755)
    for variable in list(os.environ):
        if variable.startswith(('XDG_', 'VOLT_')):
            del os.environ[variable]
    os.environ['HOME'] = name
    if may_mount:
        small_disks(Path(name))
        commands(Path(name))
    else:
        report('skipped', 'small disks', 'no file system can be mounted here')
    limits(Path(name))
    permissions(Path(name))
print(f'{counts["ok"]} passed, {counts["FAILED"]} failed, {counts["skipped"]} skipped')
sys.exit(1 if counts['FAILED'] else 0)

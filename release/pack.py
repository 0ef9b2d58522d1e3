#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a release of what a build folder holds: a folder that runs on any x86-64 Linux, and its
tarball. The same files give the same bytes. Prints path, size and SHA-256 of the tarball.

usage: pack.py BUILD-FOLDER FOLDER     (the release is made in FOLDER)
"""
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Loaded by name when they are first needed: downloads; and libraries of glibc that are empty today,
# but which drivers and programs built with an older glibc still ask for.
BY_NAME = ['libcurl.so.4', 'libdl.so.2', 'libpthread.so.0', 'librt.so.1']
LOADER = 'ld-linux-x86-64.so.2'
# Header-only libraries, which leave no trace but their code.
HEADERS = ['/usr/include/CLI/CLI.hpp', '/usr/include/nlohmann/json.hpp',
           '/usr/include/toml++/toml.h']


def die(message, hint=''):
    sys.exit(f'pack.py: error: {message}' + (f'\nhint: {hint}' if hint else ''))


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        die(f'{" ".join(map(str, command))}:\n{done.stdout}{done.stderr}'.rstrip())
    return done.stdout


def copy(source, target, mode):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def installed(build, folder):
    """What `meson install` puts into `folder`: programs, modules, and the folder of all data."""
    output('meson', 'install', '-C', build, '--no-rebuild', '--quiet', '--destdir', folder)
    options = json.loads(output('meson', 'introspect', build, '--buildoptions'))
    place = {option['name']: option['value'] for option in options}
    prefix = folder / place['prefix'].lstrip('/')
    return (sorted((prefix / place['bindir']).iterdir()), sorted(prefix.rglob('lib*/**/*.so')),
            prefix / place['datadir'])


def needed(programs):
    """All libraries that these ask the loader for, and it itself: name to file."""
    text = output('ldd', *programs)
    if 'not found' in text:
        die('a library is missing:\n' + text)
    return {Path(path).name: Path(path) for path in re.findall(r'(/\S+) \(0x', text)}


def add_libraries(folder, programs):
    """Copies what `programs` need, and returns where it came from."""
    by_name = [Path(output('cc', f'-print-file-name={name}').strip()) for name in BY_NAME]
    for path in by_name:
        if not path.is_absolute():
            die(f'there is no {path}', 'apt-get install libcurl4-openssl-dev')
    libraries = needed([*programs, *by_name]) | {path.name: path for path in by_name}
    for name, path in libraries.items():
        # Its own folders would be searched instead of ours.
        if 'RUNPATH' in output('readelf', '-d', path):
            die(f'{path} has a DT_RUNPATH')
        copy(path, folder / name, 0o755 if name == LOADER else 0o644)
    deafen(folder / LOADER)
    return [path.resolve() for path in libraries.values()]


def deafen(loader):
    """/etc/ld.so.preload names what was built for the system's libc, and ours would refuse to run."""
    code = loader.read_bytes()
    if code.count(b'/etc/ld.so.preload\0') != 1:
        die(f'{LOADER} is not as expected: it names /etc/ld.so.preload not just once')
    loader.write_bytes(code.replace(b'/etc/ld.so.preload\0', b'/proc/self/nothing\0'))


def add_licences(folder, files):
    """The terms of all that others wrote, by Debian package, and which sources it was made from."""
    # Which of the two dpkg knows depends on whether /lib was a folder when it was packaged.
    names = {str(file): [str(file), str(file).removeprefix('/usr')] for file in files}
    known = subprocess.run(['dpkg-query', '-S', *sum(names.values(), [])], capture_output=True,
                           text=True, check=False).stdout
    owners = {path: owner for owner, path in re.findall(r'^(\S+): (/.*)$', known, re.M)}
    packages = set()
    for file, either in names.items():
        package = owners.get(either[0]) or owners.get(either[1])
        if package is None:
            die(f'nobody knows the licence of {file}', 'build the release on Debian or Ubuntu')
        packages.add(package)
    for package in sorted(packages):
        name = package.split(':')[0]
        copyright_file = Path('/usr/share/doc') / name / 'copyright'
        copy(copyright_file, folder / name, 0o644)
        for common in re.findall(r'/usr/share/common-licenses/([\w.-]*\w)',
                                 copyright_file.read_text(errors='replace')):
            if Path('/usr/share/common-licenses', common).exists():
                copy(f'/usr/share/common-licenses/{common}', folder / 'common' / common, 0o644)
    fields = '${Package} ${Version} ${source:Package} ${source:Version}\\n'
    (folder / 'PACKAGES').write_text('# package, version, source package, its version\n' +
                                     output('dpkg-query', '-W', '-f', fields, *sorted(packages)))


def write_tarball(folder, path, time):
    """As POSIX tar, sorted, with nothing in it of who packed it, where and when."""
    with (open(path, 'wb') as file,
          gzip.GzipFile('', 'wb', 9, file, mtime=0) as packed,
          tarfile.open(fileobj=packed, mode='w', format=tarfile.USTAR_FORMAT) as tar):
        for entry in [folder, *sorted(folder.rglob('*'))]:
            info = tarfile.TarInfo(str(entry.relative_to(folder.parent)))
            info.mtime = time
            info.mode = 0o755 if entry.is_dir() or os.access(entry, os.X_OK) else 0o644
            if entry.is_dir():
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = entry.stat().st_size
                with open(entry, 'rb') as content:
                    tar.addfile(info, content)


def last_change():
    """Of the sources: $SOURCE_DATE_EPOCH, or the last commit."""
    if 'SOURCE_DATE_EPOCH' in os.environ:
        return int(os.environ['SOURCE_DATE_EPOCH'])
    done = subprocess.run(['git', '-C', HERE, 'log', '-1', '--format=%ct'], capture_output=True,
                          text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else 0


def make(build, folder, root):
    libraries = root / 'lib' / 'volt'
    tools, modules, data = installed(build, folder)
    programs = [path for path in sorted((build / 'release').iterdir())
                if path.is_file() and os.access(path, os.X_OK)]
    tools = {tool.name for tool in tools}
    if not tools <= {program.name for program in programs}:
        die(f'{build}/release lacks a tool', f'ninja -C {build} release_programs')
    for program in programs:
        place = 'bin' if program.name in tools else 'libexec'
        copy(program, root / place / program.name, 0o755)
    if not modules:
        print('pack.py: no CUDA module: nvcc was not there', file=sys.stderr)
    for module in modules:
        copy(module, libraries / module.name, 0o644)
        programs.append(module)
    foreign = []
    bwrap = shutil.which('bwrap', path='/usr/bin')
    if bwrap:
        copy(bwrap, libraries / 'bwrap', 0o755)
        foreign.append(Path(bwrap))
    else:
        print('pack.py: no bubblewrap here: the release will use the one of its system, if any',
              file=sys.stderr)
    foreign += add_libraries(libraries, [*programs, *foreign])
    shutil.copytree(data, root / 'share')
    add_licences(root / 'share' / 'doc' / 'volt' / 'licences',
                 foreign + [Path(header) for header in HEADERS if Path(header).exists()])
    for name in ('LICENSE', 'VERSION'):
        copy(HERE.parent / name, root / name, 0o644)
    copy(HERE / 'README', root / 'README', 0o644)


def main(build, folder):
    version = (HERE.parent / 'VERSION').read_text().strip()
    root = folder / f'volt-{version}-linux-x86_64'
    tarball = folder / f'{root.name}.tar.gz'
    shutil.rmtree(root, ignore_errors=True)
    with tempfile.TemporaryDirectory() as staging:
        make(build, Path(staging), root)
    write_tarball(root, tarball, last_change())
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    print(f'{tarball}\n{tarball.stat().st_size} bytes\nsha256 {digest}')


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails on an #include that the rooms forbid: a room may use itself and those before it.

usage: layers.py ROOT
"""
import pathlib
import re
import sys

ROOMS = ['base', 'doc', 'host', 'sandbox', 'crypto', 'tensor', 'schema', 'net', 'inputs', 'device', 'lm',
         'workload', 'proof', 'run', 'cli']
# Third-party headers stay in the room named; the value is the room.
FENCES = {'nlohmann/': 'doc', 'toml++/': 'doc', 'openssl/': 'crypto', 'seccomp.h': 'sandbox', 'curl/': 'net', 'CLI/': 'cli'}
# Fenced further, into one file each.
FILES = {'nlohmann/': 'libvolt/doc/json.cpp', 'toml++/': 'libvolt/doc/toml.cpp',
         'CLI/': 'libvolt/cli/parse.cpp', 'curl/': 'libvolt/net/curl.cpp'}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def allowed(path, include):
    """Why `path` may not include `include`; None when it may."""
    parts = path.parts
    for prefix, room in FENCES.items():
        if include.startswith(prefix) and str(path) != FILES.get(prefix, str(path)):
            return f'{prefix} belongs into {FILES[prefix]}'
        if include.startswith(prefix) and parts[:2] != ('libvolt', room):
            return f'{prefix} belongs into libvolt/{room}'
    target = include.split('/')
    if parts[0] == 'kernels':
        return 'kernels use nothing of ours' if target[0] in ('libvolt', 'tools') else None
    if parts[0] == 'tools':
        return None
    if target[0] == 'tools':
        return 'the library knows no tool'
    if target[0] == 'kernels':
        return None if parts[1] in ('device', 'lm', 'workload', 'run') else 'only device, lm, workload and run call kernels'
    if target[0] != 'libvolt':
        return None
    own, other = parts[1], target[1]
    if other not in ROOMS:
        return f'{other} is no room'
    if own == 'device' and other not in ('base', 'device'):
        return 'device includes base only'
    if ROOMS.index(other) > ROOMS.index(own):
        return f'{own} comes before {other}'
    return None


def violations(root):
    for folder in ('kernels', 'libvolt', 'tools'):
        for path in sorted((root / folder).rglob('*')):
            if path.suffix not in ('.cpp', '.hpp', '.cu', '.cuh'):
                continue
            relative = path.relative_to(root)
            for match in INCLUDE.finditer(path.read_text()):
                why = allowed(relative, match.group(2))
                if why:
                    yield f'{relative}: #include {match.group(2)}: {why}'


def self_test():
    """The rules themselves: each line is a file, what it includes, and whether that is allowed."""
    for path, include, fine in [
            ('libvolt/base/error.cpp', 'libvolt/doc/value.hpp', False),
            ('libvolt/doc/json.cpp', 'nlohmann/json.hpp', True),
            ('libvolt/run/run.cpp', 'nlohmann/json.hpp', False),
            ('libvolt/device/device.cpp', 'libvolt/doc/value.hpp', False),
            ('libvolt/schema/job.cpp', 'openssl/evp.h', False),
            ('libvolt/crypto/keys.cpp', 'openssl/evp.h', True),
            ('libvolt/run/run.cpp', 'libvolt/cli/tool.hpp', False),
            ('libvolt/cli/run.cpp', 'libvolt/base/error.hpp', True),
            ('kernels/cpu.cpp', 'libvolt/base/error.hpp', False),
            ('tools/gpu-verify.cpp', 'libvolt/run/run.hpp', True)]:
        assert (allowed(pathlib.PurePath(path), include) is None) == fine, (path, include)


self_test()
found = list(violations(pathlib.Path(sys.argv[1])))
print('\n'.join(found) or 'layers: ok')
sys.exit(bool(found))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second verifier, written from volt-receipt(5) alone: it shares no code with volt, and needs
nothing but Python and the openssl command. tests/check/independent_test.py tests it.

usage: independent.py RUN [NAME=PATH...]       RUN holds receipt.json, job.json and the outputs; an
                                               i8 product whose inputs are made from seeds, or given
                                               as .npy files by a=PATH and b=PATH, by algebra too;
                                               PATH is also a file or folder given to a command
       independent.py RUN CHALLENGE PROOF      RUN holds receipt.json and job.json
"""
import base64
import fnmatch
import hashlib
import itertools
import json
import math
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

SIZE = {'f32': 4, 'i8': 1, 'i32': 4}
PRIME = 2**64 - 2**32 + 1


def demand(condition, what):
    if not condition:
        raise ValueError(what)


def H(data):
    return hashlib.sha256(data).digest()


def le64(number):
    return number.to_bytes(8, 'little')


def open_envelope(path):
    """The payload of a DSSE envelope and what it says, once its signature holds."""
    envelope = json.loads(pathlib.Path(path).read_bytes())
    demand(envelope['payloadType'] == 'application/vnd.in-toto+json', 'payload type')
    payload = base64.b64decode(envelope['payload'], validate=True)
    statement = json.loads(payload)
    files = {'key': base64.b64decode(statement['predicate']['signer'], validate=True),
             'signature': base64.b64decode(envelope['signatures'][0]['sig'], validate=True),
             'signed': b'DSSEv1 28 application/vnd.in-toto+json %d ' % len(payload) + payload}
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            pathlib.Path(folder, name).write_bytes(data)
        done = subprocess.run(['openssl', 'dgst', '-sha256', '-keyform', 'DER', '-verify', 'key',
                               '-signature', 'signature', 'signed'], cwd=folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    demand(done.returncode == 0, 'signature')
    return payload, statement


def header(tensor):
    return ' '.join(['volt-pages/1', tensor['dtype'], *map(str, tensor['shape'])]).encode()


def byte_count(tensor):
    return SIZE[tensor['dtype']] * math.prod(tensor['shape'])


def leaf(data):
    return H(b'\0' + data)


def left_count(count):
    return 1 << (count - 1).bit_length() - 1


def root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = left_count(len(leaves))
    return H(b'\1' + root(leaves[:k]) + root(leaves[k:]))


def check_elements(tensor, data):
    demand(len(data) == byte_count(tensor), 'length of the elements')
    pages = [leaf(data[i:i + 4096]) for i in range(0, len(data), 4096)]
    demand(root([leaf(header(tensor))] + pages).hex() == tensor['digest']['volt-pages'], 'pages')
    return data


def words(seed):
    for counter in itertools.count():
        yield from struct.unpack('<4Q', H(seed + le64(counter)))


def below(source, bound):
    limit = 2**64 - 2**64 % bound
    return next(word for word in source if word < limit) % bound


def philox(block, stream, seed):
    c0, c1, c2, c3 = block & 0xffffffff, block >> 32, stream, 0
    k0, k1 = seed & 0xffffffff, seed >> 32
    for _ in range(10):
        p, q = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = q >> 32 ^ c1 ^ k0, q & 0xffffffff, p >> 32 ^ c3 ^ k1, p & 0xffffffff
        k0, k1 = k0 + 0x9E3779B9 & 0xffffffff, k1 + 0xBB67AE85 & 0xffffffff
    return struct.pack('<4I', c0, c1, c2, c3)


def seeded(tensor):
    size, stream = byte_count(tensor), {'a': 1, 'b': 2}[tensor['name']]
    data = b''.join(philox(block, stream, tensor['seed']) for block in range(-(-size // 16)))
    if tensor['dtype'] == 'f32':
        values = struct.unpack(f'<{len(data) // 4}i', data)
        data = struct.pack(f'<{len(values)}f', *((value >> 8) * 2.0**-23 for value in values))
    return data[:size]


def f32(value):
    try:
        return struct.unpack('<f', struct.pack('<f', value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def fma(x, y, z):
    """Of f32 values: x * y is exact as f64, and the sum with z is rounded to odd before f32."""
    product = x * y
    total = product + z
    if not math.isfinite(total):
        return total
    part = total - product
    error = (product - (total - part)) + (z - part)
    if error != 0 and struct.pack('<d', total)[0] % 2 == 0:
        total = math.nextafter(total, math.copysign(math.inf, error))
    return f32(total)


def quantise(group):
    most = max(struct.unpack('<I', struct.pack('<f', x))[0] & 0x7fffffff for x in group)
    if most >= 0x7f800000 or most < 0x0d800000:
        return math.nan if most >= 0x7f800000 else 0.0, [0] * len(group)
    amax = struct.unpack('<f', struct.pack('<I', most))[0]
    inverse = f32(127 / amax)
    return f32(amax / 127), [round(f32(x * inverse)) for x in group]


def element(profile, row, column):
    """The bytes of an element of C from those of a row of A and a column of B."""
    form = 'b' if profile == 'i8/1' else 'f'
    row, column = (struct.unpack(f'<{len(line)}{form}', b''.join(line)) for line in (row, column))
    if profile == 'i8/1':
        return struct.pack('<i', sum(x * y for x, y in zip(row, column)))
    c = 0.0
    if profile == 'f32x/1':
        for x, y in zip(row, column):
            c = fma(x, y, c)
    else:
        for first in range(0, len(row), 128):
            (s, p), (t, q) = (quantise(line[first:first + 128]) for line in (row, column))
            c = fma(float(sum(x * y for x, y in zip(p, q))), f32(s * t), c)
    return struct.pack('<f', c) if c == c else struct.pack('<I', 0x7fc00000)


def npy_elements(path):
    data = pathlib.Path(path).read_bytes()
    return data[10 + int.from_bytes(data[8:10], 'little'):]


class Signed:
    """Receipt and job of a folder, once the signature holds and the one names the other."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.payload, statement = open_envelope(self.folder / 'receipt.json')
        demand(statement['predicateType'] == 'urn:volt:receipt/1', 'predicate type')
        self.receipt, self.outputs = statement['predicate'], statement['subject']
        job = (self.folder / 'job.json').read_bytes()
        demand(H(job).hex() == self.receipt['job']['sha256'], 'digest of the job')
        self.job = json.loads(job)
        demand(self.receipt['workload'] == self.job['workload'] + '/1', 'workload')
        demand(self.receipt['attempt'] > 0, 'attempt')

    def check_outputs(self):
        for output in self.outputs:
            data = (self.folder / output['name']).read_bytes()
            demand(len(data) == output['annotations']['bytes'], 'length of ' + output['name'])
            demand(H(data).hex() == output['digest']['sha256'], 'digest of ' + output['name'])


def listing(digests):
    """Files by name, as a text that their digest is taken of."""
    return ''.join(f'{digest}  {name}\n' for name, digest in sorted(digests.items())).encode()


def names(pattern, path):
    """Whether a pattern of a job names a file."""
    segments = [re.sub(r'\\(.)', r'[\1]', segment) for segment in pattern.split('/')]

    def match(segments, parts):
        if not segments or not parts:
            return segments == parts
        plain = parts[0][0] != '.'
        if segments[0] == '**':
            return match(segments[1:], parts) or plain and match(segments, parts[1:])
        return ((plain or segments[0][0] == '.') and fnmatch.fnmatchcase(parts[0], segments[0])
                and match(segments[1:], parts[1:]))

    return match(segments + ['*'] * (segments[-1] == '**'), path.split('/'))


class Command(Signed):
    """A run of any program, whose receipt agrees with its job."""

    def __init__(self, folder):
        super().__init__(folder)
        job, digests = self.job['command'], [
            {x['name']: x['digest']['sha256'] for x in entries}
            for entries in (self.outputs, self.receipt['inputs'])]
        outputs, self.inputs = digests
        demand(self.receipt['profile'] == 'none', 'profile')
        demand(self.receipt['trace'] == {'units': 1, 'root': leaf(listing(outputs)).hex()}, 'trace')
        wanted = job['outputs'] + job['optional']
        demand(all(any(names(p, x) for p in wanted) for x in outputs), 'an output of no pattern')
        demand(all(any(names(p, x) for x in outputs) for p in job['outputs']), 'outputs')
        demand(all(any(x == name or x.startswith(name + '/') for name in job['inputs'])
                   for x in self.inputs), 'an input that the job has not')
        for name, source in job['inputs'].items():
            files = self.files_of(name)
            demand(name in self.inputs or files or 'sha256' in source, 'input ' + name)
            digest = self.inputs.get(name, H(listing(files)).hex())
            demand(source.get('sha256', digest) == digest, 'digest of input ' + name)
        demand(all('receipt' in x for x in self.receipt['inputs']
                   if 'run' in job['inputs'].get(x['name'], {})), 'earlier run')

    def files_of(self, folder):
        below = folder + '/'
        return {name[len(below):]: x for name, x in self.inputs.items() if name.startswith(below)}

    def check_files(self, inputs):
        self.check_outputs()
        for name, path in inputs.items():
            files = {'': path} if os.path.isfile(path) else {
                str(x.relative_to(path)): x for x in pathlib.Path(path).rglob('*') if x.is_file()}
            found = {x: H(pathlib.Path(file).read_bytes()).hex() for x, file in files.items()}
            known = {'': self.inputs[name]} if name in self.inputs else self.files_of(name)
            demand(found == known, 'files of input ' + name)


class Run(Signed):
    """A product of two matrices, whose receipt agrees with its job."""

    def __init__(self, folder):
        super().__init__(folder)
        job = self.job['matmul']
        self.profile = self.receipt['profile']
        demand(self.profile == job['profile'] + '/1', 'profile')
        self.a, self.b = self.receipt['inputs']
        demand(all(tensor['name'] == name and tensor.get('seed') == job[name].get('seed')
                   for tensor, name in ((self.a, 'a'), (self.b, 'b'))), 'inputs')
        self.ta, self.tb = job['transpose_a'], job['transpose_b']
        self.m, self.k = self.a['shape'][::-1 if self.ta else 1]
        k, self.n = self.b['shape'][::-1 if self.tb else 1]
        self.c = dict(self.outputs[0]['annotations'], digest=self.outputs[0]['digest'])
        demand(k == self.k and self.c['shape'] == [self.m, self.n], 'shapes')
        self.units, trace = self.m * self.n, self.receipt['trace']
        demand(trace == {'units': self.units, 'root': self.c['digest']['volt-pages']}, 'trace')

    def row(self, i):
        return [l * self.m + i if self.ta else i * self.k + l for l in range(self.k)]

    def column(self, j):
        return [j * self.k + l if self.tb else l * self.n + j for l in range(self.k)]

    def seed(self, nonce):
        fields = [b'volt.challenge/1', bytes.fromhex(self.receipt['job']['sha256']),
                  self.profile.encode(), le64(2)]
        for x in self.a, self.b:
            fields += [x['name'].encode(), header(x), bytes.fromhex(x['digest']['volt-pages'])]
        fields.append(le64(len(self.outputs)))
        for x in self.outputs:
            fields += [x['name'].encode(), bytes.fromhex(x['digest']['sha256'])]
            if 'volt-pages' in x['digest']:
                fields += [header(x['annotations']), bytes.fromhex(x['digest']['volt-pages'])]
        fields += [bytes.fromhex(self.receipt['trace']['root']), le64(self.units), nonce]
        return H(b''.join(le64(len(field)) + field for field in fields))

    def check_files(self, inputs):
        self.check_outputs()
        c = check_elements(self.c, npy_elements(self.folder / self.outputs[0]['name']))
        if all('seed' in x or x['name'] in inputs for x in (self.a, self.b)):
            operands = [check_elements(x, seeded(x) if 'seed' in x else
                                       npy_elements(inputs[x['name']])) for x in (self.a, self.b)]
            if self.profile == 'i8/1':
                self.check_algebra(*operands, c)

    def check_algebra(self, a, b, c):
        a, b, c = struct.unpack(f'{len(a)}b', a), struct.unpack(f'{len(b)}b', b), \
            struct.unpack(f'<{self.units}i', c)
        source = words(self.seed(os.urandom(32)))
        for _ in range(2):
            r = [below(source, PRIME) for _ in range(self.n)]
            columns = [self.column(j) for j in range(self.n)]
            br = [sum(b[column[l]] * x for column, x in zip(columns, r)) for l in range(self.k)]
            for i in range(self.m):
                left = sum(a[index] * x for index, x in zip(self.row(i), br))
                right = sum(x * y for x, y in zip(c[i * self.n:], r))
                demand((left - right) % PRIME == 0, f'row {i} of C, by algebra')

    def check_proof(self, challenge_path, proof_path):
        """Returns how A and B were opened."""
        payload, statement = open_envelope(challenge_path)
        challenge, digest = statement['predicate'], H(self.payload).hex()
        demand(statement['subject'][0]['digest']['sha256'] == digest, 'challenged receipt')
        seed = self.seed(bytes.fromhex(challenge['nonce']))
        demand(seed.hex() == challenge['seed'], 'seed')
        source, draws = words(seed), challenge['draws'] if self.units else 0
        units = sorted({below(source, self.units) for _ in range(draws)})
        line, _, self.body = pathlib.Path(proof_path).read_bytes().partition(b'\n')
        says = json.loads(line)
        demand(says['challenge'] == H(payload).hex() and says['receipt'] == digest, 'header')
        c = self.open_pages(self.c, units)
        a = self.open(self.a, says['a'], (x for u in units for x in self.row(u // self.n)))
        b = self.open(self.b, says['b'], (x for u in units for x in self.column(u % self.n)))
        demand(not self.body, 'bytes after the end')
        for u in units:
            right = element(self.profile, [a(x) for x in self.row(u // self.n)],
                            [b(x) for x in self.column(u % self.n)])
            demand(c(u) == right, f'element {divmod(u, self.n)} of C')
        return says['a'], says['b']

    def take(self, count):
        demand(len(self.body) >= count, 'the proof ends too early')
        taken, self.body = self.body[:count], self.body[count:]
        return taken

    def open(self, tensor, way, indices):
        """A function from an element's index to its bytes."""
        demand(way in ('pages', 'whole', 'seed') and (way == 'seed') == ('seed' in tensor), 'way')
        if way == 'pages':
            return self.open_pages(tensor, indices)
        data = seeded(tensor) if way == 'seed' else self.take(byte_count(tensor))
        check_elements(tensor, data)
        size = SIZE[tensor['dtype']]
        return lambda index: data[index * size:(index + 1) * size]

    def open_pages(self, tensor, indices):
        size, total = SIZE[tensor['dtype']], byte_count(tensor)
        numbers = sorted({index * size // 4096 for index in indices})
        pages = {p: self.take(min(4096, total - p * 4096)) for p in numbers}
        known = {0: leaf(header(tensor)), **{p + 1: leaf(page) for p, page in pages.items()}}

        def walk(first, count):
            if not any(first <= number < first + count for number in known):
                return self.take(32)
            if count == 1:
                return known[first]
            k = left_count(count)
            left = walk(first, k)
            return H(b'\1' + left + walk(first + k, count - k))

        demand(walk(0, 1 - -total // 4096).hex() == tensor['digest']['volt-pages'], 'root')
        return lambda index: pages[index * size // 4096][index * size % 4096:][:size]


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if len(sys.argv) == 4 and '=' not in sys.argv[2]:
        Run(sys.argv[1]).check_proof(*sys.argv[2:])
    else:
        job = json.loads(pathlib.Path(sys.argv[1], 'job.json').read_bytes())
        kind = Command if job['workload'] == 'command' else Run
        kind(sys.argv[1]).check_files(dict(given.split('=', 1) for given in sys.argv[2:]))

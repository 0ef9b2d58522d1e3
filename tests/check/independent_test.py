#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lets the second verifier examine small runs and proofs of each profile, a command, a training,
and altered ones.

usage: independent_test.py GPU_RUN GPU_VERIFY
"""
import base64
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from independent import (  # noqa: E402: beside this file
    Command, Run, demand, leaf, listing, npy_elements, seeded)
from independent_training import Training  # noqa: E402

TESTS = pathlib.Path(__file__).resolve().parent.parent

# Name, [matmul], files (operand, dtype, rows, columns), draws, how a and b are opened.
JOBS = [
    ('seeds', 'profile = "f32x"\nimage = "c.pgm"\na = { seed = 1, shape = [40, 300] }\n'
              'b = { seed = 9007199254740991, shape = [300, 70] }', [], 50, ('seed', 'seed')),
    ('groups', 'profile = "i8x"\ntranspose_a = true\na = { seed = 3, shape = [300, 21] }\n'
               'b = "b.npy"', [('b', '<f4', 300, 30)], 60, ('seed', 'whole')),
    ('bits', 'profile = "f32x"\na = "a.npy"\nb = "b.npy"',
     [('a', '<f4', 19, 40), ('b', '<f4', 40, 23)], 2750, ('whole', 'whole')),
    ('bytes', 'profile = "i8"\ntranspose_b = true\na = { seed = 5, shape = [33, 257] }\n'
              'b = "b.npy"', [('b', '|i1', 65, 257)], 2750, ('seed', 'whole')),
    ('pages', 'profile = "i8x"\ntranspose_b = true\na = "a.npy"\nb = "b.npy"',
     [('a', '<f4', 60, 3001), ('b', '<f4', 50, 3001)], 3, ('pages', 'pages')),
    ('empty', 'a = { seed = 1, shape = [3, 0] }\nb = { seed = 2, shape = [0, 4] }', [], 5,
     ('seed', 'seed')),
    ('nothing', 'profile = "i8"\na = { seed = 1, shape = [0, 3] }\n'
                'b = { seed = 2, shape = [3, 4] }', [], 5, ('seed', 'seed')),
]
COMMAND = '''schema = "volt.job/1"
workload = "command"
[command]
argv = ["sh", "-c", """
mkdir -p out/deep; cp src/lib/a.py sum.txt; echo b > out/deep/b.txt; : > out/é; : > out-x"""]
outputs = ["sum.txt", "out/**", "[!i]*-?"]
optional = ["*.png"]
inputs = { "plain.txt" = "plain.txt", src = "src", "from.txt" = "plain.txt" }
'''
TRAINING = '''schema = "volt.job/1"
workload = "finetune"
[finetune]
base = "tiny"
data = "train.txt"
eval = "10%"
method = { METHOD targets = ["v_proj", "q_proj", "down_proj"] } }
batch = { tokens = 128, context = 64 }
seed = 9007199254740991
'''
# The method as far as its targets, and what else is said.
LORA = 'lora = { rank = 4,'
TRAININGS = {
    'training': (LORA, 'steps = 11'),
    'flylora': ('flylora = { rank = 5, active = 2,', 'steps = 11'),
    'velvet': (LORA, 'steps = 24\noptimizer = "velvet"\nschedule = "constant"\nlr = 1e-2'),
    'early': (LORA, 'steps = 24\nstop_when = { patience = 2, min_delta = 1000 }'),
}
# What a liar could sign, by a change of the receipt.
LIES = {
    'trace root': lambda x: x['predicate']['trace'].update(root='0' * 64),
    'units': lambda x: x['predicate']['trace'].update(units=2),
    'profile': lambda x: x['predicate'].update(profile='f32x/1'),
    'workload': lambda x: x['predicate'].update(workload='matmul/1'),
    'an output less': lambda x: x['subject'].pop(),
    'name of an output': lambda x: x['subject'][0].update(name='other'),
    'digest of a pinned file': lambda x: x['predicate']['inputs'][1]['digest'].update(
        sha256='0' * 64),
    'a file less in a pinned folder': lambda x: x['predicate']['inputs'].pop(),
    'an input more': lambda x: x['predicate']['inputs'].append(
        dict(x['predicate']['inputs'][0], name='more')),
}
counts = [0, 0]


def check(what, work, refused=False):
    try:
        work()
        good, why = not refused, 'accepted'
    except ValueError as error:
        good, why = refused, str(error)
    print(f'{"ok     " if good else "FAILED "} {what}: {why if refused or not good else "holds"}')
    counts[not good] += 1


def write_npy(path, dtype, rows, columns):
    """Any bits at all: infinities, NaNs and subnormal numbers among them."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}"
    text += ' ' * (-(11 + len(text)) % 64) + '\n'
    bits = hashlib.shake_256(path.name.encode()).digest(rows * columns * int(dtype[2]))
    if path.name == 'a.npy':  # and small numbers, so that not every sum is NaN
        bits = struct.pack(f'<{rows * columns}f', *((byte - 128) / 3 for byte in bits[::4]))
    path.write_bytes(b'\x93NUMPY\1\0' + struct.pack('<H', len(text)) + text.encode() + bits)


def main(run, verify):
    with tempfile.TemporaryDirectory() as folder:
        env = {k: v for k, v in os.environ.items() if not k.startswith(('VOLT_', 'XDG_'))}
        for name, *job in [*JOBS, ('command',), *((x,) for x in TRAININGS)]:
            home = pathlib.Path(folder, name)
            home.mkdir()

            def tool(*command):
                return subprocess.run(command, cwd=home, env=dict(env, HOME=folder), check=True,
                                      stdout=subprocess.PIPE).stdout
            if name == 'command':
                examine_command(home, tool, run, pathlib.Path(folder, '.config/volt/keys/sign.pem'))
            elif name in TRAININGS:
                examine_training(home, tool, run, name)
            else:
                examine(home, tool, run, verify, name, *job)


def sign(receipt, payload, key):
    """An envelope as its signer would make it."""
    signed = b'DSSEv1 28 application/vnd.in-toto+json %d ' % len(payload) + payload
    signature = subprocess.run(['openssl', 'dgst', '-sha256', '-sign', key], input=signed,
                               check=True, stdout=subprocess.PIPE).stdout
    receipt.write_text(json.dumps({
        'payloadType': 'application/vnd.in-toto+json',
        'payload': base64.b64encode(payload).decode(),
        'signatures': [{'sig': base64.b64encode(signature).decode()}]}))


def examine_command(home, tool, run, key):
    for path in ('src/lib', 'empty'):
        (home / path).mkdir(parents=True)
    for path in ('plain.txt', 'src/lib/a.py', 'src/lib.py', 'src/z'):
        (home / path).write_text(path)
    (home / 'job.toml').write_text(COMMAND)
    tool(run, '-q', '--lock', 'job.toml')
    tool(run, '-q', '--sandbox', 'none', 'job.toml')
    receipt = home / 'job.run/receipt.json'
    genuine = Command(home / 'job.run')
    inputs = {name: home / name for name in ('plain.txt', 'src')}
    check('command: files', lambda: genuine.check_files(inputs))
    check('command: another input', lambda: genuine.check_files({'src': home / 'empty'}), True)
    honest = receipt.read_bytes()
    sign(receipt, genuine.payload, key)
    check('command: signed again', lambda: Command(home / 'job.run'))
    for what, change in LIES.items():
        statement = json.loads(genuine.payload)
        change(statement)
        if what != 'trace root':  # which a liar would make fit
            statement['predicate']['trace']['root'] = leaf(listing(
                {x['name']: x['digest']['sha256'] for x in statement['subject']})).hex()
        sign(receipt, json.dumps(statement).encode(), key)
        check('command: a lie, ' + what, lambda: Command(home / 'job.run'), True)
    receipt.write_bytes(honest.replace(b'"payload":"eyJf', b'"payload":"eyJg'))
    check('command: the receipt altered', lambda: Command(home / 'job.run'), True)
    (home / 'job.run/out/deep/b.txt').write_text('c\n')
    check('command: an output altered', lambda: genuine.check_files({}), True)


def examine_training(home, tool, run, name):
    (home / 'tiny').mkdir()
    for file in ('config.json', 'model.safetensors'):
        shutil.copy(TESTS / 'vectors/lm/llama' / file, home / 'tiny')
    shutil.copy(TESTS / 'libvolt/lm/tokenizers/bytes.json', home / 'tiny/tokenizer.json')
    (home / 'train.txt').write_text('it counts: ' + ' '.join(map(str, range(400))))
    method, more = TRAININGS[name]
    (home / 'job.toml').write_text(TRAINING.replace('METHOD', method) + more)
    tool(run, '-q', 'job.toml')
    given = Training(home / 'job.run')
    check(f'{name}: files', given.check_files)
    states, adapter = ((home / 'job.run' / file).read_bytes()
                       for file in ('states.bin', 'adapter_model.safetensors'))
    trace = given.receipt['trace']
    for at in (0, 16, 4096, len(states) // 2, len(states) - 1):
        altered = states[:at] + bytes([states[at] ^ 1]) + states[at + 1:]
        check(f'{name}: byte {at} of the states altered',
              lambda: given.check_states(altered, adapter, trace), True)
    check(f'{name}: a record less', lambda: given.check_states(
        states[:len(states) // (trace['units'] + 1) * trace['units']], adapter, trace), True)
    check(f'{name}: another adapter', lambda: given.check_states(
        states, adapter[:-1] + bytes([adapter[-1] ^ 1]), trace), True)
    if name == 'velvet':
        given.settings['optimizer'] = 'adamw'
        check(f'{name}: sold as adamw', given.check_files, True)
        given.settings['optimizer'] = 'velvet'
    if name == 'early':
        demand(trace['units'] == 3, 'the third unit is the last')
        given.settings['stop_when']['patience'] = 3
        check(f'{name}: another rule', given.check_files, True)
        given.settings['stop_when']['patience'] = 2
    given.settings['seed'] = 1
    check(f'{name}: another seed', given.check_files, True)


def examine(home, tool, run, verify, name, matmul, files, draws, ways):
    for operand, *shape in files:
        write_npy(home / f'{operand}.npy', *shape)
    inputs = {operand: home / f'{operand}.npy' for operand, *_ in files}
    (home / 'job.toml').write_text(
        f'schema = "volt.job/1"\nworkload = "matmul"\n[matmul]\n{matmul}\n')
    tool(run, '-q', 'job.toml')
    challenge, proof, altered = home / 'challenge', home / 'proof', home / 'altered'
    challenge.write_bytes(tool(verify, 'challenge', 'job.run', '--draws', str(draws)))
    tool(run, 'prove', '-q', 'job.run', 'challenge', '-o', 'proof')
    given = Run(home / 'job.run')

    check(f'{name}: files', lambda: given.check_files(inputs))
    check(f'{name}: proof by {ways[0]}, {ways[1]}', lambda: demand(
        given.check_proof(challenge, proof) == ways, 'opened in another way'))
    text = proof.read_bytes()
    begin = text.index(b'\n') + 1
    for at in (begin, (begin + len(text)) // 2, len(text) - 1) if begin < len(text) else ():
        altered.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1:])
        check(f'{name}: byte {at} altered', lambda: given.check_proof(challenge, altered), True)
    altered.write_bytes(text + b'\0')
    check(f'{name}: a byte more', lambda: given.check_proof(challenge, altered), True)
    if name == 'bytes':
        c = bytearray(npy_elements(home / 'job.run/c.npy'))
        c[4321] ^= 1
        check('bytes: an element altered, by algebra', lambda: given.check_algebra(
            seeded(given.a), npy_elements(inputs['b']), bytes(c)), True)
    output = home / 'job.run/c.npy'
    output.write_bytes(output.read_bytes()[:-1] + b'\x7b')
    check(f'{name}: the output altered', lambda: given.check_files(inputs), True)
    receipt = home / 'job.run/receipt.json'
    receipt.write_bytes(receipt.read_bytes().replace(b'"payload":"eyJf', b'"payload":"eyJg'))
    check(f'{name}: the receipt altered', lambda: Run(home / 'job.run'), True)


if __name__ == '__main__':
    main(*map(os.path.abspath, sys.argv[1:3]))
    print('{} passed, {} failed, 0 skipped'.format(*counts))
    sys.exit(counts[1] != 0)

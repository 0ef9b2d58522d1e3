#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Forges trainings, and demands that gpu-verify refuses each for its own reason.

usage: training_test.py GPU-RUN GPU-VERIFY TWO-FACED.so

The forger knows volt-receipt(5) and owns the prover's key: states.bin, digests, trace and signature
are made here, with openssl, so that none of them gives a forgery away. That an honest run made so
verifies shows that this page and volt agree.
"""
import base64
import hashlib
import json
import os
import shutil
import struct
import sys
import tempfile
from pathlib import Path

from forger import Forger, leaf, root

gpu_run, gpu_verify, two_faced = (str(Path(argument).resolve()) for argument in sys.argv[1:4])
tests = Path(__file__).resolve().parent.parent
STEPS, SPAN = 12, 4
UNITS = STEPS // SPAN
PAGE, STEP, EVAL = 4096, 56, 24
JOB = {'lr': 1e-2, 'seed': 1, 'method': 'lora', 'rank': 4, 'data': 'train.jsonl', 'more': ''}


def pages_root(data):
    return root([leaf(data[at:at + PAGE]) for at in range(0, len(data), PAGE)])


def padded(size):
    return -(-size // PAGE) * PAGE


class States:
    def __init__(self, data, units):
        self.data, self.units = bytearray(data), units
        self.record = len(data) // (units + 1)
        self.state = self.record - padded(SPAN * STEP + EVAL)

    def trace(self):
        part = lambda i, begin, end: bytes(self.data[i * self.record + begin:i * self.record + end])
        states = [pages_root(part(i, 0, self.state)) for i in range(self.units + 1)]
        told = [pages_root(part(i, self.state, self.record)) for i in range(self.units + 1)]
        leaves = [leaf(b'volt.finetune/1\n' + struct.pack('<Q', i) + states[i - 1] + states[i]
                         + told[i]) for i in range(1, self.units + 1)]
        return root(leaves).hex()

    def copy_state(self, to, source):
        """All but the number of steps taken."""
        at = lambda i: slice(i * self.record + 24, i * self.record + self.state)
        self.data[at(to)] = self.data[at(source)]

    def flip(self, record, offset):
        self.data[record * self.record + offset] ^= 1

    def tell(self, unit, step, offset, value, kind='f'):
        """Overwrites part of what a step of a unit told."""
        struct.pack_into('<' + kind, self.data,
                         unit * self.record + self.state + step * STEP + offset, value)

    def set_average(self, unit, offset, value):
        """Overwrites one of velvet's averages, the last 24 bytes of a state."""
        struct.pack_into('<f', self.data, unit * self.record + AVERAGES + offset, value)


def forged(name, change, run):
    """A copy of a run after change(states, files, predicate), signed anew."""
    out = Path('forged') / name
    shutil.copytree(run, out, ignore=shutil.ignore_patterns('.volt'))
    forger.sign_anew(out, lambda payload: put(out, payload, change))
    return str(out)


def put(out, payload, change):
    states = States((out / 'states.bin').read_bytes(), payload['predicate']['trace']['units'])
    files, predicate = {}, payload['predicate']
    change(states, files, predicate)
    if 'states.bin' not in files:
        files['states.bin'] = bytes(states.data)
        predicate['trace'].setdefault('forged', None)
    if predicate['trace'].pop('forged', 0) is None:
        predicate['trace']['root'] = states.trace()
    for subject in payload['subject']:
        data = files.get(subject['name'])
        if data is not None:
            (out / subject['name']).write_bytes(data)
            subject['digest']['sha256'] = hashlib.sha256(data).hexdigest()
            for annotations in (subject, subject.get('annotations', {})):
                if 'bytes' in annotations:
                    annotations['bytes'] = len(data)


def transplanted(other):
    """All of another run, sold as this one's."""
    def change(states, files, predicate):
        for name in 'states.bin', 'adapter_model.safetensors', 'adapter_config.json':
            files[name] = Path(other, name).read_bytes()
        theirs = json.loads(base64.b64decode(
            json.loads(Path(other, 'receipt.json').read_text())['payload']))['predicate']
        predicate['trace'] = dict(theirs['trace'])
    return change


def foreign_adapter(states, files, _):
    files['adapter_model.safetensors'] = Path('seed.run/adapter_model.safetensors').read_bytes()


def adapter_of(state):
    """The adapter's file that a state gives: the header of any, and the state's values."""
    matrices = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
    file = bytearray(Path('good.run/adapter_model.safetensors').read_bytes())
    begin = 8 + int.from_bytes(file[:8], 'little')
    places = {name: value['data_offsets'] for name, value in json.loads(file[8:begin]).items()
              if name != '__metadata__'}

    def order(name):
        parts = name.split('.')
        return int(parts[4]), matrices.index(parts[6]), parts[7]
    at = 40
    for name in sorted(places, key=order):
        first, last = places[name]
        file[begin + first:begin + last] = state[at:at + last - first]
        at += last - first
    return bytes(file)


def truncated(states, files, predicate):
    short = States(states.data[:states.units * states.record], states.units - 1)
    files['adapter_model.safetensors'] = adapter_of(short.data[-short.record:])
    files['states.bin'] = bytes(short.data)
    predicate['trace'] = {'root': short.trace(), 'units': short.units}


def adapter_after(unit, change=lambda *_: None):
    """After another change, with the adapter that is right for the rule of EARLY and LATE."""
    def publish(states, files, predicate):
        change(states, files, predicate)
        data = files.get('states.bin', states.data)
        first = unit % (len(data) // states.record) * states.record
        files['adapter_model.safetensors'] = adapter_of(data[first:])
    return publish


def half_a_record(states, files, predicate):
    files['states.bin'] = bytes(states.data[:-states.record // 2])
    predicate['trace']['root'] = '11' * 32


def no_unit(states, files, predicate):
    files['states.bin'] = bytes(states.data[:states.record])
    predicate['trace']['root'] = '11' * 32


def swapped(states, *_):
    at = lambda i: slice(i * states.record, (i + 1) * states.record)
    states.data[at(1)], states.data[at(2)] = states.data[at(2)], states.data[at(1)]


def other_root(_, files, predicate):
    files['states.bin'] = Path('good.run/states.bin').read_bytes()
    predicate['trace']['root'] = '11' * 32


def fewer_units(_, files, predicate):
    files['states.bin'] = Path('good.run/states.bin').read_bytes()
    predicate['trace']['units'] = UNITS - 1


def forged_d(states, *_):
    """FlyLoRA's, which lies behind all B."""
    adapter = Path('fly.run/adapter_model.safetensors').read_bytes()
    header = json.loads(adapter[8:8 + int.from_bytes(adapter[:8], 'little')])
    trained = sum(tensor['shape'][0] * tensor['shape'][1] for name, tensor in header.items()
                  if '.lora_B.' in name)
    at = 2 * states.record + 40 + 4 * trained
    d = struct.unpack_from('<f', states.data, at)[0]
    assert 0 < abs(d) < 0.01, d
    struct.pack_into('<f', states.data, at, -d)


def other_a(_, files, __):
    adapter = bytearray(Path('fly.run/adapter_model.safetensors').read_bytes())
    begin = 8 + int.from_bytes(adapter[:8], 'little')
    header = json.loads(adapter[8:begin])
    first = next(tensor for name, tensor in header.items() if '.lora_A.' in name)
    adapter[begin + first['data_offsets'][0] + 3] ^= 0x3f
    files['adapter_model.safetensors'] = bytes(adapter)


HALF = 0.5
TOKENS, LOSS, ENTROPY, CLIP, RATE, BETA1, SKIPPED = 8, 24, 28, 36, 40, 44, 48  # in a step
EVAL_LOSS, CONFIDENCE = 8, 12  # in what the held-out samples told
ELEMENTS = 2 * 4 * (3 * (64 + 136) + 2 * (64 + 64) + 2 * (64 + 32))  # of adapters of rank 4
AVERAGES = 40 + 12 * ELEMENTS
CASES = [
    ('honest', lambda *_: None, 0, 'output holds all 3 units computed again, each bit equal'),
    ('bit of an average', lambda s, *_: s.flip(2, s.state // 2), 11, 'is not what the job gives'),
    ('bit of the last state', lambda s, *_: s.flip(3, 100), 11, 'is not what the states give'),
    ('bit of the first state', lambda s, *_: s.flip(0, 5000), 11, 'does not begin with what'),
    ('steps that were not taken', lambda s, *_: s.copy_state(2, 1), 11, 'is not what the job gives'),
    ('a lower loss', lambda s, *_: s.tell(2, 1, LOSS, HALF), 11,
     'step 5 has the loss 0.5'),
    ('another rate told', lambda s, *_: s.tell(1, 2, RATE, HALF), 11,
     'step 2 has another learning rate than the job gives it'),
    ('another beta1 told', lambda s, *_: s.tell(1, 2, BETA1, HALF), 11,
     'step 2 has another beta1 than the job gives it'),
    ('another entropy', lambda s, *_: s.tell(2, 1, ENTROPY, HALF), 11,
     'step 5 has the entropy 0.5'),
    ('another confidence', lambda s, *_: s.tell(2, SPAN, CONFIDENCE, HALF), 11,
     'the confidence after step 7 is 0.5'),
    ('fewer tokens told', lambda s, *_: s.tell(3, 0, TOKENS, 7, 'Q'), 11,
     'step 8 has 7 tokens, '),
    ('a step told as skipped', lambda s, *_: s.tell(2, 1, SKIPPED, 1, 'I'), 11,
     'step 5 contradicts itself'),
    ('another clip told', lambda s, *_: s.tell(2, 1, CLIP, HALF), 11,
     'step 5 contradicts itself'),
    ('a lower held-out loss', lambda s, *_: s.tell(2, SPAN, EVAL_LOSS, HALF), 11,
     'the held-out loss after step 7 is 0.5'),
    ('steps renumbered', lambda s, *_: s.tell(1, 0, 0, 1, 'Q'), 11,
     'step 0 is told as step 1'),
    ('something in the padding', lambda s, *_: s.flip(1, s.record - 1), 11,
     'record 1 holds more than a unit tells'),
    ('a state of other steps', lambda s, *_: s.flip(2, 16), 11,
     'the state after unit 2 has not the steps before it'),
    ('units swapped', swapped, 11, 'is told as step'),
    ('another learning rate', transplanted('lr.run'), 11, 'has another learning rate'),
    ('another seed', transplanted('seed.run'), 11, 'to be predicted, not the|does not begin with'),
    ('other data', transplanted('data.run'), 11, 'to be predicted, not the|is not what the job gives|has the loss'),
    ('another rank', transplanted('rank.run'), 11, 'bytes, but the job gives'),
    ('a foreign adapter', foreign_adapter, 11, 'adapter_model.safetensors is not what the states give'),
    ('a run cut short', truncated, 11, 'bytes, but the job gives'),
    ('something in what is reserved', lambda s, *_: s.tell(2, 1, 52, 7, 'I'), 11,
     'record 2 holds more than a unit tells'),
    ('other held-out tokens', lambda s, *_: s.tell(2, SPAN, 0, 99, 'Q'), 11,
     'unit 2 tells of 99 predicted held-out tokens'),
    ('another trace', other_root, 11, 'another trace than the receipt names'),
    ('fewer units', fewer_units, 11, 'another trace than the receipt names'),
]
FLY = [
    ('an honest flylora', lambda *_: None, 0, 'output holds all 3 units'),
    ('a forged d', forged_d, 11, 'is not what the job gives'),
    ('another A', other_a, 11,
     'adapter_model.safetensors is not what the states give'),
]
# Of velvet: rate and beta1 of a step follow from what the steps before it told.
VELVET = [
    ('velvet', lambda *_: None, 0, 'output holds all 3 units computed again, each bit equal'),
    ('velvet, adamw sold as it', transplanted('good.run'), 11,
     'step 2 has another learning rate than the job gives it'),
    ('velvet, another rate', lambda s, *_: s.tell(3, 1, RATE, HALF), 11,
     'step 9 has another learning rate than the job gives it'),
    ('velvet, another beta1', lambda s, *_: s.tell(3, 1, BETA1, HALF), 11,
     'step 9 has another beta1 than the job gives it'),
    ('velvet, a lower entropy', lambda s, *_: s.tell(2, 1, ENTROPY, HALF), 11,
     'step 6 has another learning rate than the job gives it'),
    ('velvet, a higher loss', lambda s, *_: s.tell(2, 1, LOSS, 50.0), 11,
     'step 6 has another beta1 than the job gives it'),
    ('velvet, a lower last entropy', lambda s, *_: s.tell(2, 3, ENTROPY, HALF), 11,
     'the state after unit 2 has not the averages of its steps'),
    ('velvet, another average', lambda s, *_: s.set_average(2, 8, HALF), 11,
     'the state after unit 2 has not the averages of its steps'),
    ('velvet, another reference', lambda s, *_: [s.set_average(i, 16, HALF) for i in (1, 2, 3)], 11,
     'the state after unit 1 has not the averages of its steps'),
]
# Of jobs that end by their rule: after unit 2, or after unit 3, which is the last anyway.
RULE = 'stop_when = { patience = %d, min_delta = 1000 }'
EARLY = [
    ('early', lambda *_: None, 0, 'output holds all 2 units computed again, each bit equal'),
    ('early, a run that went on', adapter_after(1, transplanted('good.run')), 11,
     'the training goes on after unit 2, where its rule ends it'),
    ('early, cut short', truncated, 11, 'the training ends after unit 1, where its rule does not end it'),
    ('early, half a record', half_a_record, 11, 'for each state, of which there are 2 to 4'),
    ('early, no unit', no_unit, 11, 'for each state, of which there are 2 to 4'),
    ('early, too many units', transplanted('long.run'), 11,
     'for each state, of which there are 2 to 4'),
    ('early, the last state sold as the best', adapter_after(-1), 11,
     'adapter_model.safetensors is not what the states give'),
]
LATE = [
    ('late', lambda *_: None, 0, 'output holds all 3 units computed again, each bit equal'),
    ('late, cut short', adapter_after(1, truncated), 11, 'the training ends after unit 2, where its rule does not end it'),
]
# Confidence is never 1.
SURE = [
    ('sure, cut short', truncated, 11, 'the training ends after unit 2, where its rule does not end it'),
    ('sure, confidence told', lambda s, files, p: (
        s.tell(2, SPAN, CONFIDENCE, 1.0), s.tell(2, SPAN, EVAL_LOSS, HALF), truncated(s, files, p)),
     11, 'the held-out loss after step 7 is 0.5'),
]


def good_run(name, **changed):
    job = {**JOB, **changed}
    Path(name + '.toml').write_text(f'''schema = "volt.job/1"
name = "good"
workload = "finetune"
[finetune]
base = "models/tiny"
data = "{job['data']}"
eval = "5%"
method = {{ {job['method']} = {{ rank = {job['rank']}, alpha = 8 }} }}
steps = {job.get('steps', STEPS)}
span = {SPAN}
batch = {{ tokens = 128, context = 64 }}
lr = {job['lr']}
seed = {job['seed']}
{job['more']}
''')
    end = forger.call(gpu_run, '-q', '-o', name + '.run', name + '.toml')
    if end.returncode != 0:
        sys.exit(f'the good run {name} ends with {end.returncode}: {end.stderr}')


def samples(count, modulus):
    return ''.join(json.dumps({'prompt': f'{i % modulus}+{i % 7}=', 'completion': str(i % modulus + i % 7)})
                   + '\n' for i in range(count))


passed = failures = 0


def examine(name, folder, status, words, **environment):
    """Demands that gpu-verify ends with this status and says one of these words."""
    global passed, failures
    end = forger.call(gpu_verify, folder, '--all', '--inputs', '.', '--inputs', 'models/tiny',
                      **environment)
    said = ' '.join((end.stdout + end.stderr).split())
    if end.returncode == status and any(word in said for word in words.split('|')):
        passed += 1
        print(f'ok      {name}')
    else:
        failures += 1
        print(f'FAILED  {name}: exit {end.returncode}, not {status} with "{words}": {said}')


with tempfile.TemporaryDirectory(prefix='volt-bad-') as work:
    forger = Forger(work)
    for folder in 'models', 'forged':
        os.mkdir(folder)
    shutil.copytree(tests / 'vectors/lm/llama', 'models/tiny',
                    ignore=shutil.ignore_patterns('golden*'))
    shutil.copy(tests / 'libvolt/lm/tokenizers/bytes.json', 'models/tiny/tokenizer.json')
    Path('train.jsonl').write_text(samples(80, 11))
    Path('other.jsonl').write_text(samples(80, 13))
    good_run('good')
    good_run('lr', lr=2e-2)
    good_run('seed', seed=2)
    good_run('rank', rank=8)
    good_run('data', data='other.jsonl')
    good_run('fly', method='flylora', rank=16)
    good_run('long', steps=STEPS + SPAN)
    good_run('velvet', more='optimizer = "velvet"')
    good_run('early', more=RULE % 1)
    good_run('late', more=RULE % 2)
    good_run('sure', more='stop_when = { confidence = 1 }')
    cases = [(*case, run) for run, some in [
        ('good', CASES), ('fly', FLY), ('velvet', VELVET), ('early', EARLY), ('late', LATE), ('sure', SURE)
    ] for case in some]
    for name, change, status, words, run in cases:
        examine(name, forged(name.replace(' ', '-').replace(',', ''), change, run + '.run'), status, words)
    for name in 'adapter_config.json', 'adapter_model.safetensors', 'states.bin':
        folder = forged('two-faced-' + name, lambda *_: None, 'good.run')
        examine('two faces of ' + name, folder, 11, name + ' was changed while it was examined',
                **forger.two_faces(Path(folder), name, two_faced))
    os.chdir('/')
print(f'{passed} passed, {failures} failed, 0 skipped')
sys.exit(1 if failures else 0)

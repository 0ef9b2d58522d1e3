#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Forges generated texts, and demands that gpu-verify refuses each for its own reason.

usage: generate_test.py GPU-RUN GPU-VERIFY TWO-FACED.so

As in training_test.py the forger knows volt-receipt(5) and owns the prover's key.
"""
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
PAGE, BLOCK, EOS = 4096, 64, 2
PROMPTS = ['Once upon a time', 'Es war einmal', 'C\'era una volta']


def page(text, block, ids):
    head = b'volt.generate/1\n' + struct.pack('<QQQ', text, block, len(ids))
    return (head + struct.pack(f'<{len(ids)}I', *ids)).ljust(PAGE, b'\0')


def ids_of(data):
    """The new tokens of each text."""
    texts = {}
    for at in range(0, len(data), PAGE):
        text, _, count = struct.unpack_from('<QQQ', data, at + 16)
        texts.setdefault(text, []).extend(struct.unpack_from(f'<{count}I', data, at + 40))
    return [texts[i] for i in range(len(texts))]


def pages_of(texts):
    return [page(text, at // BLOCK, ids[at:at + BLOCK])
            for text, ids in enumerate(texts) for at in range(0, len(ids), BLOCK)]


def line(prompt, ids, limit):
    """Tokens below 256 are bytes, the others special or none."""
    ended = 'eos' if ids[-1] == EOS else 'tokens' if len(ids) == limit else 'context'
    text = bytes(i for i in ids if i < 256).decode('utf-8', 'replace')
    members = {'completion': text, 'ended': ended, 'prompt': prompt, 'tokens': len(ids)}
    return json.dumps(members, separators=(',', ':'), ensure_ascii=False) + '\n'


class Forgery:
    """A run to be changed. What follows from its tokens is made anew, unless it was set."""

    def __init__(self, folder):
        self.texts = ids_of((folder / 'tokens.bin').read_bytes())
        self.job = json.loads((folder / 'job.json').read_text())
        self.pages = self.lines = self.trace = None
        self.inputs = {}

    def put(self, folder, payload):
        pages = pages_of(self.texts) if self.pages is None else self.pages
        limit = self.job['generate']['tokens']
        lines = self.lines or ''.join(map(lambda *x: line(*x, limit), PROMPTS, self.texts))
        files = {'tokens.bin': b''.join(pages), 'generated.jsonl': lines.encode()}
        predicate = payload['predicate']
        for subject in payload['subject']:
            data = files[subject['name']]
            (folder / subject['name']).write_bytes(data)
            subject['digest']['sha256'] = hashlib.sha256(data).hexdigest()
            subject['annotations']['bytes'] = len(data)
        job = json.dumps(self.job, sort_keys=True, separators=(',', ':')).encode()
        (folder / 'job.json').write_bytes(job)
        predicate['job']['sha256'] = hashlib.sha256(job).hexdigest()
        predicate['trace'] = self.trace or {'units': len(pages),
                                            'root': root([leaf(x) for x in pages]).hex()}
        for entry in predicate['inputs']:
            if entry['name'] in self.inputs:
                data = self.inputs[entry['name']].read_bytes()
                entry['digest']['sha256'] = hashlib.sha256(data).hexdigest()
                entry['bytes'] = len(data)


def changed(text, index, token):
    def change(run):
        run.texts[text][index] = token
    return change


def other_token(run):
    """Another letter, which is no EOS."""
    run.texts[1][70] = 65 if run.texts[1][70] != 65 else 66


def without_end(run):
    del run.texts[2][90:]


def sold_as_ended(run):
    run.texts[2][90:] = [EOS]


def fewer_texts(run):
    run.texts.pop()


def setting(key, value):
    def change(run):
        run.job['generate'][key] = value
    return change


def other_adapter(run):
    run.inputs['adapter/adapter_model.safetensors'] = Path('b.run/adapter_model.safetensors')


def other_completion(run):
    limit = run.job['generate']['tokens']
    lines = [line(*x, limit) for x in zip(PROMPTS, run.texts)]
    lines[1] = lines[1].replace('"completion":"', '"completion":"Nobel Prize ')
    run.lines = ''.join(lines)


def one_line_more(run):
    limit = run.job['generate']['tokens']
    run.lines = ''.join(line(*x, limit) for x in zip(PROMPTS, run.texts)) + '{}\n'


def pages(change):
    def forge(run):
        run.pages = pages_of(run.texts)
        change(run.pages)
    return forge


def swap(made):
    made[0], made[2] = made[2], made[0]


def pad(made):
    made[1] = made[1][:-1] + b'\1'


def cut(made):
    made[-1] = made[-1][:-1]


def trace(**members):
    def change(run):
        made = pages_of(run.texts)
        run.trace = {'units': len(made), 'root': root([leaf(x) for x in made]).hex(), **members}
    return change


CASES = [
    ('honest', lambda run: None, 0, 'output holds all 6 units computed again, each bit equal'),
    ('one token', other_token, 11, 'prompts.txt:2: token 70 is 6'),
    ('the first token', changed(0, 0, 65), 11, 'prompts.txt:1: token 0 is 65, but the model gives'),
    ('a completion', other_completion, 11,
     'line 2 of generated.jsonl is not what prompt and tokens give'),
    ('a line more', one_line_more, 11, 'generated.jsonl goes on behind its last line'),
    ('an early end', without_end, 11,
     'prompts.txt:3 ends after 90 tokens, where neither an EOS nor a limit ends it'),
    ('an early end with an EOS', sold_as_ended, 11, 'prompts.txt:3: token 90 is 2, but the model'),
    ('tokens behind an EOS', changed(0, 10, EOS), 11, 'token 10 is 2, an EOS, and not the last'),
    ('a token that there is not', changed(0, 3, 300), 11, 'token 3 is 300, which the model does not'),
    ('a text left out', fewer_texts, 11, 'tokens.bin has 2 whole texts, but the job 3'),
    ('units swapped', pages(swap), 11, 'unit 0 is not block 0 of prompts.txt:1'),
    ('a unit left out', pages(lambda made: made.pop(1)), 11,
     'unit 1 is not block 1 of prompts.txt:1, which had not ended'),
    ('a unit twice', pages(lambda made: made.append(made[-1])), 11,
     'bytes, but the job gives up to 24576'),
    ('something in the padding', pages(pad), 11, 'unit 1 is not block 1 of prompts.txt:1'),
    ('a unit cut short', pages(cut), 11, 'unit 5 is not block 1 of prompts.txt:3'),
    ('nothing', pages(lambda made: made.clear()), 11, 'it counts no units'),
    ('another temperature', setting('temperature', 0.9), 11, 'but the model gives'),
    ('greedy', setting('temperature', 0), 11, 'but the model gives'),
    ('another top_p', setting('top_p', 0.1), 11, 'but the model gives'),
    ('another seed', setting('seed', 2), 11, 'but the model gives'),
    ('another profile', setting('profile', 'f32x'), 11, 'the profile is i8x/1, but the job says'),
    ('more tokens wanted', setting('tokens', 101), 11, 'neither an EOS nor a limit ends it'),
    ('fewer tokens wanted', setting('tokens', 99), 11, 'new tokens, more than the 99'),
    ('another adapter', other_adapter, 11, 'but the model gives'),
    ('another trace', trace(root='11' * 32), 11, 'tokens.bin has another trace than the receipt'),
    ('fewer units', trace(units=5), 11, 'tokens.bin has another trace than the receipt'),
]


def model():
    """One that sees more than its usual 64 tokens, so that a text has blocks."""
    shutil.copytree(tests / 'vectors/lm/llama', 'models/tiny',
                    ignore=shutil.ignore_patterns('golden*'))
    shutil.copy(tests / 'libvolt/lm/tokenizers/bytes.json', 'models/tiny/tokenizer.json')
    config = json.loads(Path('models/tiny/config.json').read_text())
    config['max_position_embeddings'] = 128
    Path('models/tiny/config.json').write_text(json.dumps(config))


def run(name, workload, members):
    Path(name + '.toml').write_text(
        f'schema = "volt.job/1"\nname = "good"\nworkload = "{workload}"\n[{workload}]\n{members}')
    end = forger.call(gpu_run, '-q', '-o', name + '.run', name + '.toml')
    if end.returncode != 0:
        sys.exit(f'the good run {name} ends with {end.returncode}: {end.stderr}')


passed = failures = 0


def examine(name, folder, status, words, **environment):
    """Demands that gpu-verify ends with this status and says these words."""
    global passed, failures
    end = forger.call(gpu_verify, str(folder), '--all', '--inputs', '.', '--inputs', 'models/tiny',
                      '--inputs', 'a.run', '--inputs', 'b.run', **environment)
    said = ' '.join((end.stdout + end.stderr).split())
    if end.returncode == status and words in said:
        passed += 1
        print(f'ok      {name}')
    else:
        failures += 1
        print(f'FAILED  {name}: exit {end.returncode}, not {status} with "{words}": {said}')


with tempfile.TemporaryDirectory(prefix='volt-bad-') as work:
    forger = Forger(work)
    for folder in 'models', 'forged':
        os.mkdir(folder)
    model()
    Path('train.txt').write_text('What is written here is not worth much. ' * 9)
    Path('prompts.txt').write_text('\n'.join(PROMPTS))
    for name, seed in ('a', 1), ('b', 2):
        run(name, 'finetune', f'base = "models/tiny"\ndata = "train.txt"\nsteps = 4\nlr = 1e-2\n'
            f'batch = {{ context = 64, tokens = 128 }}\nseed = {seed}\n')
    # A seed with which no text ends before its 100 tokens.
    run('good', 'generate', 'base = "models/tiny"\nadapter = "a.run"\nprompts = "prompts.txt"\n'
        'tokens = 100\ntemperature = 0.8\ntop_p = 0.95\nseed = 12\n')
    for name, change, status, words in CASES:
        out = Path('forged') / name.replace(' ', '-')
        shutil.copytree('good.run', out, ignore=shutil.ignore_patterns('.volt', 'run.json'))
        forgery = Forgery(out)
        change(forgery)
        forger.sign_anew(out, lambda payload: forgery.put(out, payload))
        examine(name, out, status, words)
    for name in 'generated.jsonl', 'tokens.bin':
        out = Path('forged/two-faced-' + name)
        shutil.copytree('good.run', out, ignore=shutil.ignore_patterns('.volt', 'run.json'))
        examine('two faces of ' + name, out, 11, name + ' was changed while it was examined',
                **forger.two_faces(out, name, two_faced))
    os.chdir('/')
print(f'{passed} passed, {failures} failed, 0 skipped')
sys.exit(1 if failures else 0)

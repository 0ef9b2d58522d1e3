#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The second verifier on trainings: all of volt-receipt(5), Fine-tunes, that shows without computing
a step again. Of llamas, by their parameters' names; the job says how many steps there are.
"""
import json
import math
import struct

from independent import Signed, demand, f32, leaf, le64, philox, root

MATRICES = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj',
            'mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj']
HEAD, STEP, EVAL, AVERAGES = 40, 56, 24, 24
BETA1, BETA2 = f32(0.9), f32(0.999)


def padded(count):
    return -(-count // 4096) * 4096


def pages_root(data):
    return root([leaf(data[i:i + 4096]) for i in range(0, len(data), 4096)])


def tensors_of(adapter):
    """Of an adapter's file, in the order of a state: name, shape, bytes."""
    begin = 8 + int.from_bytes(adapter[:8], 'little')
    header = json.loads(adapter[8:begin])
    header.pop('__metadata__')

    def place(name):
        _, _, layer, matrix = name.removeprefix('base_model.model.').split('.', 3)
        matrix, _, lora = matrix.removesuffix('.weight').rpartition('.')
        return int(layer), MATRICES.index(matrix), lora

    return [(name, header[name]['shape'],
             adapter[begin:][slice(*header[name]['data_offsets'])])
            for name in sorted(header, key=place)]


def first_values(shape, seed, place, name):
    """What a training begins with."""
    count = math.prod(shape)
    if not name.endswith('.lora_A.weight'):
        return bytes(4 * count)
    bound = f32(1 / f32(math.sqrt(shape[1])))
    words = b''.join(philox(block, 65536 + place, seed) for block in range(-(-count // 4)))
    return b''.join(struct.pack('<f', f32((word >> 8) * 2.0**-23 * bound))
                    for word, in struct.iter_unpack('<i', words[:4 * count]))


def check_sparse(values, shape, seed, place, active):
    """FlyLoRA's A: its places exactly, its values as near as Python's log and cos are."""
    rank, width = shape
    nonzeros = max(1, (2 * width * active + rank) // (2 * rank))
    for row in range(rank):
        blocks = [struct.unpack('<4I', philox(row * width + j, 65536 + place, seed))
                  for j in range(width)]
        drawn = sorted(range(width), key=lambda j: (blocks[j][0], j))[:nonzeros]
        right = [0.0] * width
        for j in drawn:
            u = (2 * (blocks[j][1] >> 9) + 1) / 2**24
            right[j] = math.sqrt(-2 * math.log(u)) * math.cos(math.tau * blocks[j][2] / 2**32) / rank
        found = struct.unpack_from(f'<{width}f', values, 4 * width * row)
        demand(all((x == 0) == (y == 0) and abs(x - y) < 1e-6 for x, y in zip(found, right)),
               f'row {row} of A at place {place}')


class AdamW:
    """What a step's rate is multiplied with, its beta1, and what a state ends with."""
    scale, beta1, state = 1.0, BETA1, b''

    def take(self, loss, entropy):
        pass


class Velvet:
    """The rule of velvet."""

    def __init__(self, warmup, steps):
        self.reference = max(1, min(max(10, warmup), steps // 10))
        self.taken, self.weight, self.sums, self.first = 0, 1.0, [0.0, 0.0], [0.0, 0.0]

    def take(self, loss, entropy):
        kept = f32(0.98)
        added = f32(1 - kept)
        self.taken += 1
        self.weight = f32(kept * self.weight)
        self.sums = [f32(f32(kept * a) + f32(added * x))
                     for a, x in zip(self.sums, (entropy, loss))]
        if self.taken == self.reference:
            self.first = self.averages()

    def averages(self):
        return [f32(a / f32(1 - self.weight)) for a in self.sums]

    @property
    def scale(self):
        if self.taken < self.reference or self.first[0] <= 0:
            return 1.0
        return min(max(f32(self.averages()[0] / self.first[0]), f32(0.7)), f32(1.3))

    @property
    def beta1(self):
        if self.taken < self.reference:
            return BETA1
        fallen = f32(f32(0.05) * f32(self.first[1] - self.averages()[1]))
        return min(max(f32(BETA1 + fallen), f32(0.8)), f32(0.95))

    @property
    def state(self):
        return struct.pack('<I5f', self.taken, self.weight, *self.sums, *self.first)


class Stopping:
    """Whether the rule of a job ends it after a unit, and which unit gives its outputs."""

    def __init__(self, rule):
        self.rule, self.best, self.before, self.worse = rule, math.inf, math.inf, 0
        self.units, self.best_unit = 0, None

    def ends(self, loss, confidence):
        better = math.isfinite(loss) and loss < self.best - self.rule.get('min_delta', 0)
        self.best, self.worse = (loss, 0) if better else (self.best, self.worse + 1)
        self.units += 1
        if better and 'patience' in self.rule:
            self.best_unit = self.units
        risen, self.before = not math.isfinite(loss) or loss > self.before, loss
        return (self.worse >= self.rule.get('patience', math.inf)
                or not risen and confidence >= self.rule.get('confidence', math.inf))


class Training(Signed):
    """A fine-tune, whose receipt agrees with its job and its files."""

    def __init__(self, folder):
        super().__init__(folder)
        job = self.settings = self.job['finetune']
        demand(self.receipt['profile'] == job['profile'] + '/1', 'profile')
        names = ['states.bin', 'adapter_config.json', 'adapter_model.safetensors']
        demand([x['name'] for x in self.outputs] == names, 'outputs')
        demand(all(x['name'] == 'data' or x['name'].startswith('base/')
                   for x in self.receipt['inputs']), 'inputs')
        self.steps = job['steps']
        self.span = min(self.steps, job.get('span', math.isqrt(self.steps - 1) + 1))
        self.most = -(-self.steps // self.span)
        self.evaluates = job['eval'] != '0%'

    def check_files(self):
        self.check_outputs()
        states, adapter = ((self.folder / name).read_bytes()
                           for name in ('states.bin', 'adapter_model.safetensors'))
        self.check_states(states, adapter, self.receipt['trace'])

    def check_states(self, states, adapter, trace):
        job = self.settings
        self.optimizer = (Velvet(job['warmup'], self.steps) if job['optimizer'] == 'velvet'
                          else AdamW())
        self.stopping, self.powers = Stopping(job.get('stop_when', {})), [1.0, 1.0]
        tensors = tensors_of(adapter)
        kept = [(place, *tensor) for place, tensor in enumerate(tensors)]
        flylora = self.settings['method'].get('flylora')
        if flylora:
            for place, name, shape, values in kept:
                if '.lora_A.' in name:
                    check_sparse(values, shape, self.settings['seed'], place, flylora['active'])
            kept = [x for end in ('.lora_B.weight', '.lora_d.weight')
                    for x in kept if x[1].endswith(end)]
        elements = sum(math.prod(shape) for _, _, shape, _ in kept)
        trained = sum(math.prod(shape) for _, name, shape, _ in kept if '.lora_d.' not in name)
        head = HEAD + 4 * elements + 8 * trained
        room = padded(head + len(self.optimizer.state))
        size = room + padded(STEP * self.span + EVAL * self.evaluates)
        units = len(states) // size - 1
        demand(len(states) == (units + 1) * size and 0 < units <= self.most
               and (units == self.most or 'stop_when' in job), 'length of the states')
        records = [states[i:i + size] for i in range(0, len(states), size)]
        parts = [(pages_root(x[:room]), pages_root(x[room:])) for x in records]
        leaves = [leaf(b'volt.finetune/1\n' + le64(i) + parts[i - 1][0] + parts[i][0] + parts[i][1])
                  for i in range(1, units + 1)]
        demand(trace == {'units': units, 'root': root(leaves).hex()}, 'trace')
        beginning = self.optimizer.state
        for i, record in enumerate(records):
            ends = self.check_told(i, record[:HEAD], record[room:])
            demand(ends == (i == units) or i == self.most, 'end of the training')
            demand(record[head:room] == self.optimizer.state.ljust(room - head, b'\0'), 'averages')
        values = slice(HEAD, HEAD + 4 * elements)
        demand(records[self.stopping.best_unit or units][values] == b''.join(x for *_, x in kept), 'adapter')
        first = b''.join(first_values(shape, self.settings['seed'], place, name)
                         for place, name, shape, _ in kept)
        demand(records[0][HEAD:] == (first.ljust(head - HEAD, b'\0') + beginning).ljust(
            size - HEAD, b'\0'), 'beginning')

    def check_told(self, unit, head, told):
        """The counts of a record, all of whose steps went well; whether the training ends here, but
        for its most steps.
        """
        first, last = max(0, unit - 1) * self.span, min(self.steps, unit * self.span)
        for i in range(first, last):
            step, tokens, predicted, loss, entropy, _, clip, rate, beta1, skipped, rest = (
                struct.unpack_from('<QQQffffffII', told, STEP * (i - first)))
            demand((step, skipped, rest) == (i, 0, 0) and clip <= 1, f'step {i}')
            demand(predicted < tokens <= self.settings['batch']['tokens'], f'tokens of step {i}')
            demand(beta1 == self.optimizer.beta1, f'beta1 of step {i}')
            if self.settings['schedule'] == 'constant' and self.settings['warmup'] == 0:
                right = f32(f32(self.settings['lr']) * self.optimizer.scale)
                demand(rate == right, f'rate of step {i}')
            self.optimizer.take(loss, entropy)
            self.powers = [f32(x * beta) for x, beta in zip(self.powers, (beta1, BETA2))]
        demand(head == b'volt.training/1\n' + struct.pack('<QQff', last, 0, *self.powers), 'counts')
        behind = told[STEP * (last - first):STEP * self.span] + told[STEP * self.span + EVAL:]
        demand(not any(behind) and any(told[STEP * self.span:]) == (self.evaluates and unit > 0),
               'padding')
        if unit == 0 or not self.evaluates:
            return False
        _, loss, confidence = struct.unpack_from('<Qff', told, STEP * self.span)
        return self.stopping.ends(loss, confidence)

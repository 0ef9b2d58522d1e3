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
HEAD, STEP, EVAL = 40, 48, 24


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
        self.units = -(-self.steps // self.span)
        self.evaluates = job['eval'] != '0%'

    def check_files(self):
        self.check_outputs()
        states, adapter = ((self.folder / name).read_bytes()
                           for name in ('states.bin', 'adapter_model.safetensors'))
        self.check_states(states, adapter, self.receipt['trace'])

    def check_states(self, states, adapter, trace):
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
        room = padded(HEAD + 4 * elements + 8 * trained)
        size = room + padded(STEP * self.span + EVAL * self.evaluates)
        demand(len(states) == (self.units + 1) * size, 'length of the states')
        records = [states[i:i + size] for i in range(0, len(states), size)]
        parts = [(pages_root(x[:room]), pages_root(x[room:])) for x in records]
        leaves = [leaf(b'volt.finetune/1\n' + le64(i) + parts[i - 1][0] + parts[i][0] + parts[i][1])
                  for i in range(1, self.units + 1)]
        demand(trace == {'units': self.units, 'root': root(leaves).hex()}, 'trace')
        for i, record in enumerate(records):
            self.check_told(i, record[:HEAD], record[room:])
        values = slice(HEAD, HEAD + 4 * elements)
        demand(records[-1][values] == b''.join(x for *_, x in kept), 'adapter')
        demand(records[0][HEAD:] == b''.join(
            first_values(shape, self.settings['seed'], place, name)
            for place, name, shape, _ in kept).ljust(size - HEAD, b'\0'), 'beginning')

    def check_told(self, unit, head, told):
        """The counts of a record, all of whose steps went well."""
        first, last = max(0, unit - 1) * self.span, min(self.steps, unit * self.span)
        powers = [1.0, 1.0]
        for _ in range(last):
            powers = [f32(x * f32(beta)) for x, beta in zip(powers, (0.9, 0.999))]
        demand(head == b'volt.training/1\n' + struct.pack('<QQff', last, 0, *powers), 'counts')
        for i in range(first, last):
            step, tokens, predicted, *_, clip, _, skipped, rest = struct.unpack_from(
                '<QQQffffII', told, STEP * (i - first))
            demand((step, skipped, rest) == (i, 0, 0) and clip <= 1, f'step {i}')
            demand(predicted < tokens <= self.settings['batch']['tokens'], f'tokens of step {i}')
        behind = told[STEP * (last - first):STEP * self.span] + told[STEP * self.span + EVAL:]
        demand(not any(behind) and any(told[STEP * self.span:]) == (self.evaluates and unit > 0),
               'padding')

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Event files, by TensorBoard's own code.

usage: events.py write      makes tests/vectors/events/golden.tfevents, to which a unit test compares
       events.py read RUN   reads the event file of a run, and compares it with its metrics.jsonl

Needs: pip install tensorboard (2.21.0 made what is there)
"""
import json
import math
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

GOLDEN = Path(__file__).resolve().parent.parent / 'vectors/events/golden.tfevents'
TAGS = {'loss': 'loss', 'lr': 'lr', 'gradient_norm': 'norm', 'tokens': 'tokens'}


def event(wall_time, step, scalars):
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars]
    return Event(wall_time=wall_time, step=step, summary=Summary(value=values))


def write():
    GOLDEN.parent.mkdir(exist_ok=True)
    with open(GOLDEN, 'wb') as file:
        writer = RecordWriter(file)
        for one in (Event(wall_time=1700000000.25, file_version='brain.Event:2'),
                    event(1700000001.5, 0, [('loss', 7.25), ('lr', 0.0)]),
                    event(1700000002.5, 1, [('loss', math.nan), ('lr', 2e-4)]),
                    event(1700000003.5, 300, [('eval/loss', -0.125)]),
                    event(1700000004.5, 9999999, [('tokens', 16384.0)])):
            writer.write(one.SerializeToString())


def read(run):
    lines = [json.loads(line) for line in (Path(run) / 'metrics.jsonl').read_text().splitlines()]
    steps = [line for line in lines if 'eval' not in line]
    evals = [line for line in lines if 'eval' in line]
    told = EventAccumulator(str(run), size_guidance={'scalars': 0})
    told.Reload()

    def compare(tag, expected):
        seen = [(one.step, one.value) for one in told.Scalars(tag)]
        same = len(seen) == len(expected) and all(
            a[0] == b[0] and (math.isnan(a[1]) if b[1] is None else math.isclose(a[1], b[1], rel_tol=1e-6))
            for a, b in zip(seen, expected))
        print(f'{tag}: {len(seen)} values, {"as" if same else "NOT as"} in metrics.jsonl')
        return same

    good = [compare(tag, [(line['step'], line[key]) for line in steps]) for tag, key in TAGS.items()]
    if evals:
        good.append(compare('eval/loss', [(line['step'], line['eval']['loss']) for line in evals]))
    return all(good)


if sys.argv[1:] == ['write']:
    write()
elif len(sys.argv) == 3 and sys.argv[1] == 'read':
    sys.exit(not read(sys.argv[2]))
else:
    sys.exit(__doc__)

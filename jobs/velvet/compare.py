#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the arms of the study by what their held-out samples told at the end.

usage: compare.py STUDY.run [MEAN-RATE.run]

Losses are means over the seeds, with a 95 % confidence interval by Student's t. Arms are compared at
the best learning rate of each, seed by seed: a seed draws the first values, the samples held out and
their order, so that two runs of one seed differ in nothing but their arm.
"""
import json
import math
import statistics
import sys
from pathlib import Path

# The 97.5 % quantiles of Student's t, for 2, 3, ... 10 seeds.
T = dict(enumerate((12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262), 2))


def runs(folder):
    """(optimizer, lr, seed) of each point: its last held-out loss, and the mean rate of its steps."""
    found = {}
    for run in sorted(Path(folder).glob('*/receipt.json')):
        job = json.loads((run.parent / 'job.json').read_text())['finetune']
        lines = [json.loads(line) for line in (run.parent / 'metrics.jsonl').open()]
        loss = [line['eval']['loss'] for line in lines if 'eval' in line][-1]
        rate = statistics.mean(line['lr'] for line in lines if 'eval' not in line)
        found[job['optimizer'], job['lr'], job['seed']] = loss, rate
    return found


def interval(values):
    """The mean, and how far the 95 % interval goes to either side."""
    return (statistics.mean(values),
            T[len(values)] * statistics.stdev(values) / math.sqrt(len(values)))


def told(values):
    return '%8.4f ± %.4f' % interval(values)


def compare(name, one, name_of_other, other):
    differences = [one[seed] - other[seed] for seed in sorted(one)]
    mean, either_side = interval(differences)
    print(f'{name} - {name_of_other}: {mean:+.4f} ± {either_side:.4f},',
          'significant' if abs(mean) > either_side else 'not significant')


def main(study, mean_rate=None):
    found = runs(study)
    arms = {}
    for (optimizer, lr, seed), (loss, _) in found.items():
        arms.setdefault((optimizer, lr), {})[seed] = loss
    print('optimizer       lr  held-out loss')
    for (optimizer, lr), losses in sorted(arms.items()):
        print(f'{optimizer:9} {lr:8.2g}  {told(losses.values())}')
    best = {optimizer: min((lr for o, lr in arms if o == optimizer),
                           key=lambda lr: statistics.mean(arms[optimizer, lr].values()))
            for optimizer in ('adamw', 'velvet')}
    adamw, velvet = (arms[arm] for arm in best.items())
    print('best: ' + ', '.join(f'{optimizer} at {lr:g}' for optimizer, lr in best.items()))
    compare('velvet', velvet, 'adamw', adamw)
    lr = best['velvet']
    ratio = statistics.mean(found['velvet', lr, seed][1] / found['adamw', lr, seed][1]
                            for seed in velvet)
    print(f"velvet's mean rate is {ratio:.4f} of the schedule's: that of adamw at {lr * ratio:.4g}")
    if mean_rate:
        third = {seed: loss for (_, _, seed), (loss, _) in runs(mean_rate).items()}
        print(f'adamw at that rate: {told(third.values()).strip()}')
        compare('velvet', velvet, 'adamw at that rate', third)


if __name__ == '__main__':
    main(*sys.argv[1:])

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program of ./dev gpu, with the CPU in the place of a GPU: what it reports, and that it finds
any one operation that is wrong in a bit.

usage: report_test.py MEASURE_GPU MODULE

MODULE is a libvolt_cuda.so that has GPUs where there are none (tests/libvolt/device/fake_cuda.cpp).
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

# Rows of kernels::Backend, as the report names them.
ROWS = ['create', 'borrow', 'upload', 'download', 'fill_f32', 'fill_i8', 'quantise',
        'quantise_limbs', 'matmul_f32x', 'matmul_i8', 'matmul_i8x', 'matmul_i8x2', 'matmul_bf16',
        'weigh', 'page_digests', 'map', 'select', 'compare', 'copy']
NETWORK = ['rms_norm', 'rms_norm_backward', 'layer_norm', 'layer_norm_backward', 'rope', 'attention',
           'attention_backward', 'activate', 'activate_backward', 'cross_entropy', 'draw', 'add',
           'sum_rows', 'narrow', 'scale', 'zero', 'scatter_rows', 'dropout', 'keep_largest', 'rotate',
           'quantise_rotated', 'expand_nf4', 'adam', 'square_sum']
# What every case is made with: broken, it breaks others too.
TRANSPORT = ['create', 'upload', 'download']


def measure(program, folder, *options, **environment):
    file = folder / 'report.json'
    file.unlink(missing_ok=True)
    run = subprocess.run([program, '--quick', '--json', file, *options], capture_output=True,
                         text=True, timeout=300, env={**os.environ, **environment})
    return run, json.loads(file.read_text()) if file.exists() else None


def operation(row):
    return row['operation'].split()[0]


def check_equal(program, folder):
    run, report = measure(program, folder, '--device', 'cpu', '--commit', 'abc')
    assert run.returncode == 0, run.stderr
    assert report['schema'] == 'volt.measured/1' and report['what'] == 'gpu', report
    assert report['commit'] == 'abc' and report['machine']['gpu'] is None, report
    assert {operation(row) for row in report['parity']} == {*ROWS, *NETWORK, 'refusals'}, report['parity']
    for row in report['parity']:
        assert row['cases'] > 0 and row['differ'] == 0, row
        assert row['operation'] in run.stdout, run.stdout
    for row in report['rows']:
        assert row['ours'] > 0 and row['peer'] is None and row['ratio'] is None, row
        assert f"{row['what']} " in run.stdout and row['shape'] in run.stdout, run.stdout
    assert {'f32x', 'i8', 'i8x', 'i8x2', 'copy', 'page digests', 'adam', 'attention',
            'attention, i8x2', 'attention, native', 'bf16', 'draw'} <= {row['what'] for row in report['rows']}


def check_wrong(program, folder):
    for broken in ROWS + NETWORK:
        run, report = measure(program, folder, '--device', 'cpu', '--only', 'parity', '--break', broken)
        assert report is None or report['rows'] == [], report
        if broken == 'upload' and run.returncode < 0:
            # Where a sample begins, which no operation can check, is uploaded too.
            assert f'differs: {broken}' in run.stderr, run.stderr
            continue
        assert run.returncode == 1, (broken, run.returncode, run.stderr)
        assert f'differs: {broken}' in run.stderr, (broken, run.stderr)
        wrong = {operation(row) for row in report['parity'] if row['differ'] > 0}
        assert wrong == {broken} or broken in TRANSPORT and broken in wrong, (broken, wrong)


def check_absent(run, report, sentence):
    assert run.returncode == 13 and report is None and run.stdout == '', (run, report)
    assert run.stderr.startswith('error: ') and run.stderr.count('\n') == 1, run.stderr
    assert sentence in run.stderr, run.stderr


def check_device(program, folder):
    """Without a GPU one sentence; with one, its bits."""
    run, report = measure(program, folder)
    if run.returncode == 13:
        check_absent(run, report, '')
    else:
        assert run.returncode == 0 and report['machine']['gpu'], run.stderr


def check_module(program, folder):
    """A module beside the program is the one that is used."""
    beside = shutil.copy(program, folder)
    shutil.copy(sys.argv[2], folder)
    run, report = measure(beside, folder)
    assert run.returncode == 0, run.stderr
    machine = report['machine']
    assert machine['gpu'] == 'NVIDIA Fake' and machine['capability'] == '9.0', machine
    assert machine['driver'].endswith('CUDA 13.0') and machine['cuda_runtime'] == '13.0', machine
    check_absent(*measure(beside, folder, '--device', 'cuda:1'), 'no cuda:1, CUDA shows 1')
    check_absent(*measure(beside, folder, FAKE_CUDA_BROKEN='1'), 'no kernel image')
    check_absent(*measure(beside, folder, FAKE_CUDA_DRIVER='0'), 'no NVIDIA driver')
    check_absent(*measure(beside, folder, FAKE_CUDA_BUILD='other'), 'of another build')


def check_mistakes(program, folder):
    for options in [['--device', 'cuda'], ['--device'], ['--break', 'nothing', '--device', 'cpu'],
                    ['--fast'], ['--only', 'half']]:
        run, report = measure(program, folder, *options)
        assert run.returncode == 2 and report is None, (options, run.returncode, run.stderr)


with tempfile.TemporaryDirectory() as name:
    for check in (check_equal, check_wrong, check_device, check_module, check_mistakes):
        check(sys.argv[1], pathlib.Path(name))
print('gpu: ok')

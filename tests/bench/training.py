#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens a second of a LoRA fine-tune on the CPU, volt beside PyTorch in turn: fp32 eager, the LoRA of
PEFT, the Llama of transformers, the same batch and as many threads. Then what keeping and checking a
training costs (training_costs.cpp).

usage: training.py BUILD_FOLDER [OUT.json]

PyTorch is installed into BUILD_FOLDER/bench-python (6 GB), or taken from the interpreter that
VOLT_BENCH_PYTHON names. Where neither is to be had, only volt is measured, and that is said.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# name: layers, width, width of the gated layer, heads, context, rows of a batch.
MODELS = {'10M': (8, 320, 864, 5, 512, 4), '100M': (12, 768, 2048, 12, 512, 4)}
RANK, WARM, STEPS, ROUNDS = 16, 2, 6, 3
TARGETS = {('10M', 'f32x'): 1.0, ('10M', 'i8x'): 1.4, ('100M', 'f32x'): 1.0, ('100M', 'i8x'): 1.8}

TORCH = r'''
import json, sys, time, torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM
folder, threads, rows, context, rank, warm, steps = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=[
    'q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']))
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4)
batch = torch.randint(0, 256, (rows, context))
for step in range(warm + steps):
    if step == warm:
        begin = time.perf_counter()
    model(input_ids=batch, labels=batch).loss.backward()
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
    optimizer.step()
    optimizer.zero_grad()
print(json.dumps({'rate': batch.numel() * steps / (time.perf_counter() - begin),
                  'torch': torch.__version__}))
'''


def interpreter(build):
    """One that has PyTorch, or None."""
    given = os.environ.get('VOLT_BENCH_PYTHON')
    if given:
        return given
    python = build / 'bench-python/bin/python'
    probe = [str(python), '-c', 'import torch, transformers, peft']
    if not python.exists() or subprocess.run(probe, capture_output=True, check=False).returncode:
        print('installing PyTorch for the comparison, about 6 GB', file=sys.stderr)
        try:
            subprocess.run([sys.executable, '-m', 'venv', str(build / 'bench-python')], check=True)
            subprocess.run([str(python), '-m', 'pip', 'install', '-q', 'torch', 'transformers', 'peft'],
                           check=True)
        except (OSError, subprocess.CalledProcessError):
            print('PyTorch is not to be had: volt alone is measured', file=sys.stderr)
            return None
    return str(python)


def volt(tools, folder, name, job):
    """A training of `job`; seconds."""
    path = folder / f'{name}.toml'
    path.write_text(job)
    begin = time.perf_counter()
    subprocess.run([str(tools / 'gpu-run'), str(path), '-q', '--force', '-o', str(folder / 'x.run'),
                    '--threads', os.environ['THREADS']], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def make_model(tools, folder, name):
    """With random weights: a training of no use, of one step, by volt itself."""
    layers, width, ff, heads, context, _ = MODELS[name]
    (folder / 'text.txt').write_text('the quick brown fox jumps over the lazy dog, again and again. ' * 3000)
    (folder / 'new.toml').write_text(f"""schema = "volt.job/1"
workload = "finetune"
[finetune]
init = "random"
data = "text.txt"
steps = 1
batch = {{ tokens = 64, context = 64 }}
[finetune.model]
layers = {layers}
width = {width}
ff_width = {ff}
heads = {heads}
context = {context}
""")
    subprocess.run([str(tools / 'gpu-run'), str(folder / 'new.toml'), '-q', '-o', str(folder / f'{name}.run')],
                   check=True, stdout=subprocess.DEVNULL)
    return folder / f'{name}.run/model'


def volt_rate(tools, folder, model, profile, context, rows):
    def job(steps):
        return f"""schema = "volt.job/1"
workload = "finetune"
[finetune]
base = "{model.relative_to(folder)}"
data = "text.txt"
profile = "{profile}"
method = {{ lora = {{ rank = {RANK}, alpha = {2 * RANK} }} }}
steps = {steps}
span = 1000
batch = {{ tokens = {rows * context}, context = {context} }}
"""
    # What both have, such as reading the model, is no part of the rate.
    short = volt(tools, folder, 'job', job(WARM))
    long = volt(tools, folder, 'job', job(WARM + STEPS))
    return rows * context * STEPS / (long - short)


def machine():
    info = Path('/proc/cpuinfo').read_text()
    memory = next(x for x in Path('/proc/meminfo').read_text().splitlines() if 'MemTotal' in x)
    return {'cpu': next((x.split(':')[1].strip() for x in info.splitlines() if 'model name' in x), None),
            'cores': os.cpu_count(), 'memory_bytes': 1024 * int(memory.split()[1]),
            'kernel': os.uname().release, 'gpu': None, 'capability': None, 'driver': None,
            'cuda_runtime': None}


def commit():
    root = Path(__file__).parent
    told = subprocess.run(['git', '-C', root, 'describe', '--always', '--dirty', '--abbrev=40',
                           '--exclude=*'], capture_output=True, text=True, check=False)
    return told.stdout.strip() or None


def rows_of(tools, folder, python, name, threads):
    *_, context, rows = MODELS[name]
    model = make_model(tools, folder, name)
    rates, torch = {'f32x': [], 'i8x': [], 'peer': []}, 'PyTorch'
    for _ in range(ROUNDS):
        for profile in 'f32x', 'i8x':
            rates[profile].append(volt_rate(tools, folder, model, profile, context, rows))
        if python:
            done = subprocess.run([python, '-c', TORCH, str(model), str(threads), str(rows), str(context),
                                   str(RANK), str(WARM), str(STEPS)],
                                  check=True, capture_output=True, text=True)
            answer = json.loads(done.stdout.splitlines()[-1])
            rates['peer'].append(answer['rate'])
            torch = f"PyTorch {answer['torch']}, fp32, eager"
    for profile in 'f32x', 'i8x':
        ratios = [a / b for a, b in zip(rates[profile], rates['peer'])]
        row = {'what': f'LoRA r={RANK} of a Llama of {name}, {profile}, {threads} threads',
               'shape': f'{rows}x{context}', 'unit': 'tokens/s',
               'ours': round(statistics.median(rates[profile]), 1),
               'peer': round(statistics.median(rates['peer']), 1) if ratios else None,
               'peer_name': torch if ratios else None,
               'ratio': round(statistics.median(ratios), 3) if ratios else None,
               'spread': round((max(ratios) - min(ratios)) / statistics.median(ratios), 3)
               if ratios else None}
        if ratios:
            target = TARGETS[name, profile]
            row |= {'target': target, 'passes': row['ratio'] >= target}
        yield row


def main():
    build = Path(sys.argv[1]).resolve()
    python = interpreter(build)
    threads = min(2, os.cpu_count())
    os.environ['THREADS'] = str(threads)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            for row in rows_of(build / 'tools', Path(folder), python, name, threads):
                results.append(row)
                beside = f"{row['ratio']} of {row['peer_name']}" if row['ratio'] else 'no peer'
                print(f"{row['what']:45} {row['ours']:9} tokens/s  {beside}")
        costs = Path(folder) / 'costs.json'
        subprocess.run([str(build / 'tests/bench_training_costs'), str(costs)], check=True)
        results += json.loads(costs.read_text())['rows']
    if len(sys.argv) > 2:
        now = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
        report = {'schema': 'volt.measured/1', 'what': 'training', 'date': now, 'commit': commit(),
                  'machine': machine(), 'parity': [], 'rows': results}
        Path(sys.argv[2]).write_text(json.dumps(report, indent=1) + '\n')


main()

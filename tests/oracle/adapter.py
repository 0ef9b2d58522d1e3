#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Loads the adapter in folder ADAPTER onto the model in folder MODEL with PEFT, which must want
every tensor that is there and miss none, and compares the logits with those in LOGITS: within 1e-4.

LOGITS is a .npy file [T, V], or a .safetensors file with `logits` [T, V] and perhaps `tokens` and
`first`, [T] int32 as in models.py; without them they are those of MODEL/golden.safetensors.

Without arguments: writes an adapter of each model in tests/vectors/lm in PEFT's format, from the
adapters in its golden.safetensors, and checks that; then that spoilt ones are found out. Last run
with peft 0.21.2, transformers 5.23.0 and torch 2.15.0. Not part of ./dev test.

usage: adapter.py [MODEL ADAPTER LOGITS]
"""
import json
import pathlib
import sys
import tempfile
import warnings

import numpy
import peft
import safetensors.torch
import torch
import transformers

import models

PREFIX = 'base_model.model.'  # PeftModel.base_model is a LoraModel, whose .model is the model


def golden_of(folder):
    return safetensors.torch.load_file(pathlib.Path(folder) / 'golden.safetensors')


def read_logits(path, folder):
    """The logits, and the batch that they are of."""
    if path.suffix == '.npy':
        found = dict(logits=torch.from_numpy(numpy.load(path)))
    else:
        found = safetensors.torch.load_file(path)
    batch = found if 'tokens' in found else golden_of(folder)
    return found['logits'], {key: batch[key].long() for key in ('tokens', 'first')}


def load(folder, adapter):
    """The model with the adapter on. PEFT only warns of what it misses, and says nothing of what it
    does not want: both are errors here."""
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        model = peft.PeftModel.from_pretrained(models.load(folder, torch.float32), adapter).eval()
    stored = safetensors.torch.load_file(adapter / 'adapter_model.safetensors')
    loaded = peft.get_peft_model_state_dict(model)
    assert stored.keys() == loaded.keys(), stored.keys() ^ loaded.keys()
    assert all(torch.equal(tensor.float(), loaded[name]) for name, tensor in stored.items())
    return model


def difference(folder, adapter, logits_file):
    logits, batch = read_logits(logits_file, folder)
    with torch.no_grad():
        found = models.packed_logits(load(folder, adapter), batch)
    assert found.shape == logits.shape, (found.shape, logits.shape)
    return (found - logits).abs().max().item()


def write_adapter(adapter, golden, gpt2, **changes):
    """What PEFT needs to read, and no more than PEFT itself would write."""
    tensors, targets = {}, set()
    for name, tensor in golden.items():
        if name.startswith(('lora.A.', 'lora.B.')):
            module = name[len('lora.A.'):]
            tensors[f'{PREFIX}{module}.lora_{name[5]}.weight'] = tensor
            targets.add(module.rsplit('.', 1)[1])
    config = dict(
        peft_type='LORA', task_type='CAUSAL_LM', base_model_name_or_path=None, inference_mode=True,
        r=models.RANK, lora_alpha=models.ALPHA, lora_dropout=0.0, bias='none', fan_in_fan_out=gpt2,
        target_modules=sorted(targets), modules_to_save=None, init_lora_weights=True,
        use_rslora=False, use_dora=False, rank_pattern={}, alpha_pattern={})
    adapter.mkdir()
    safetensors.torch.save_file(tensors, adapter / 'adapter_model.safetensors', {'format': 'pt'})
    (adapter / 'adapter_config.json').write_text(json.dumps(config | changes, indent=2))


def logits_by_hand(folder, golden):
    model = models.load(folder, torch.float32)
    models.attach(model, {name[len('lora.'):]: tensor for name, tensor in golden.items()
                          if name.startswith(('lora.A.', 'lora.B.'))})
    batch = {key: golden[key].long() for key in ('tokens', 'targets', 'first')}
    with torch.no_grad():
        logits = models.packed_logits(model, batch)
    loss = models.loss_of(logits, batch)
    assert abs(loss / golden['lora.loss'] - 1) < 1e-5, folder
    return logits


def refused(folder, adapter, logits_file):
    try:
        return difference(folder, adapter, logits_file) > 1e-2
    except (AssertionError, RuntimeError, UserWarning, ValueError):
        return True


def check_all(place):
    for folder in sorted(path.parent for path in models.ROOT.glob('*/golden.safetensors')):
        golden, gpt2, here = golden_of(folder), folder.name == 'gpt2', place / folder.name
        here.mkdir()
        logits_file = here / 'logits.npy'
        numpy.save(logits_file, logits_by_hand(folder, golden).numpy())

        write_adapter(here / 'good', golden, gpt2)
        apart = difference(folder, here / 'good', logits_file)
        assert apart < 1e-4, (folder, apart)
        print(f'{folder.name}: off by at most {apart:.1e}')

        a = next(name for name in golden if name.startswith('lora.A.'))
        b = a.replace('.A.', '.B.')
        spoilt = dict(missing={key: golden[key] for key in golden if key != a},
                      more=golden | {a.replace('.0.', '.9.'): golden[a].clone()},
                      turned=golden | {a: golden[a].T.contiguous()},
                      other=golden | {b: -golden[b]})
        for name, tensors in spoilt.items():
            write_adapter(here / name, tensors, gpt2)
            assert refused(folder, here / name, logits_file), (folder, name)
        write_adapter(here / 'scale', golden, gpt2, lora_alpha=models.RANK)
        assert refused(folder, here / 'scale', logits_file), folder


def main():
    transformers.logging.disable_progress_bar()
    if len(sys.argv) == 4:
        folder, adapter, logits_file = map(pathlib.Path, sys.argv[1:])
        apart = difference(folder, adapter, logits_file)
        print(f'logits are off by at most {apart:.1e}')
        sys.exit(0 if apart < 1e-4 else 1)
    with tempfile.TemporaryDirectory() as place:
        check_all(pathlib.Path(place))


if __name__ == '__main__':
    main()

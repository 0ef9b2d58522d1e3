#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads every config.json of tests/fuzz/seeds/config with transformers (last run with 5.23.0) and
writes what it found to tests/vectors/config/facts.json, which a test compares with volt's reading.
Then reads what volt wrote for each, in tests/vectors/config/written.json: it must be the same to
transformers. Needs transformers, not torch; not part of ./dev test.

usage: config.py
"""
import json
import pathlib

from transformers.models.auto.configuration_auto import CONFIG_MAPPING

TESTS = pathlib.Path(__file__).parent.parent


def facts(document):
    config = CONFIG_MAPPING[document['model_type']].from_dict(document)
    gpt2 = config.model_type == 'gpt2'
    width, heads = config.hidden_size, config.num_attention_heads
    if gpt2:
        ff_width, epsilon = config.n_inner or 4 * width, config.layer_norm_epsilon
    else:
        ff_width, epsilon = config.intermediate_size, config.rms_norm_eps
    window = getattr(config, 'sliding_window', None) or 0
    if getattr(config, 'layer_types', None) and 'sliding_attention' not in config.layer_types:
        window = 0
    eos = config.eos_token_id
    found = dict(
        family=config.model_type, layers=config.num_hidden_layers, width=width, heads=heads,
        kv_heads=getattr(config, 'num_key_value_heads', heads),
        head_width=getattr(config, 'head_dim', None) or width // heads, ff_width=ff_width,
        vocabulary=config.vocab_size, context=config.max_position_embeddings, window=window,
        norm_epsilon=epsilon, tied=config.tie_word_embeddings,
        activation=config.activation_function if gpt2 else config.hidden_act,
        eos=[one for one in (eos if isinstance(eos, list) else [eos])
             if one is not None and one < config.vocab_size])
    if not gpt2:
        rope = config.rope_parameters
        found['rope'] = {key: rope.get(key) for key in (
            'rope_type', 'rope_theta', 'factor', 'low_freq_factor', 'high_freq_factor',
            'original_max_position_embeddings')}
        found['bias'] = [getattr(config, key, False) for key in ('attention_bias', 'mlp_bias')]
    return found


def same(read, written):
    """Names of one activation are the same, and a dynamic rope is the default up to the context."""
    read = json.loads(json.dumps(read).replace('gelu_pytorch_tanh', 'gelu_new'))
    if read.get('rope', {}).get('rope_type') == 'dynamic':
        read['rope'] |= dict(rope_type='default', factor=None)
    return read == written


found = {path.stem: facts(json.loads(path.read_text()))
         for path in sorted((TESTS / 'fuzz' / 'seeds' / 'config').glob('*.json'))}
folder = TESTS / 'vectors' / 'config'
(folder / 'facts.json').write_text(json.dumps(found, indent=1) + '\n')
written = json.loads((folder / 'written.json').read_text())
for name, read in found.items():
    again = facts(written[name])
    assert same(read, again), (name, read, again)
print(f'{len(found)} configurations; those that volt wrote read the same')

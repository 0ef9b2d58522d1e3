#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/vectors/lm/NAME/: a tiny model of each family as a Hugging Face folder, with random
weights, and beside it golden.safetensors, what transformers makes of it in float64. Then says how
far torch's own float32 is from that. Last run with torch 2.15.0 and transformers 5.23.0, on a CPU
with AVX2: without, last bits differ. Needs no GPU and no network. Not part of ./dev test.

One batch: 48 rows, three samples packed. Positions begin at 0 in each sample, and attention does
not leave it. In golden.safetensors, T = 48, r = 4 and V is the vocabulary:

  tokens, targets    [T] int32; the target is -1 where there is no loss: in the last row of a sample
                     and in the prompt of the second
  first              [T] int32, the row where the token's sample begins
  loss               [] float64, the mean over the rows that have a target
  logits             [T, V] float32
  grad.PARAMETER     float32, of the loss; a tied head has none, the embedding's is the sum

With adapters on every linear layer but the head, y = W x + b + (alpha / r) B A x, alpha = 8:

  lora.A.MODULE      [r, in] float32; lora.B.MODULE [out, r] float32, not zero
  lora.loss, lora.grad.A.MODULE, lora.grad.B.MODULE
                     as above, of the adapters alone
  lora.steps         [10] float64: the loss of step i, before its update, of AdamW on the adapters
                     (lr 1e-2, betas 0.9 and 0.999, eps 1e-8, decoupled weight decay 0.01)
  lora.steps_clipped [10] float64: the same, gradients times min(1, 0.5 / (norm + 1e-6)), which is
                     torch's clip_grad_norm_; lora.norms [10] float64, before that
  full.steps, full.steps_matrices
                     [10] float64, of llama alone: AdamW on all parameters, no adapters; in the
                     second the norms do not decay

Gradients of the embeddings of tokens that do not occur are zero. Those of GPT-2's key biases are,
too, by the mathematics (they move all scores of a row alike): what torch finds there is noise.

usage: models.py
"""
import contextlib
import importlib
import pathlib
import types

import safetensors.torch
import torch
import transformers
from torch import nn

ROOT = pathlib.Path(__file__).parent.parent / 'vectors' / 'lm'
RANK, ALPHA, STEPS = 4, 8, 10
LENGTHS = [21, 8, 19]
# Adam's first step goes by the sign of each gradient: of most seeds one is so small that float32
# has another, and the losses part. Of these none is: weights off by 3e-7 move no loss by 1e-5.
SEEDS = dict(llama=37, llama_tied=32, qwen2=18, qwen3=11, mistral=37, gpt2=16)

SIZES = dict(vocab_size=160, hidden_size=48, intermediate_size=40, num_hidden_layers=2,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
             bos_token_id=1, eos_token_id=2)
# Epsilons are so large, and thetas so small, that the loss shows a wrong one.
MODELS = {
    # Turns of a pair within the original context are above 4, between, and below 1.
    'llama': transformers.LlamaConfig(
        **SIZES | dict(vocab_size=300, hidden_size=64, intermediate_size=136), rms_norm_eps=1e-3,
        rope_parameters=dict(rope_type='llama3', rope_theta=500.0, factor=4.0, low_freq_factor=1.0,
                             high_freq_factor=4.0, original_max_position_embeddings=48),
        dtype='float32'),
    'llama_tied': transformers.LlamaConfig(
        **SIZES, tie_word_embeddings=True, rms_norm_eps=1e-2, dtype='float32',
        rope_parameters=dict(rope_type='linear', rope_theta=1000.0, factor=4.0)),
    'qwen2': transformers.Qwen2Config(
        **SIZES, tie_word_embeddings=True, rms_norm_eps=1e-3, dtype='float32',
        rope_parameters=dict(rope_type='default', rope_theta=1000.0)),
    'qwen3': transformers.Qwen3Config(
        **SIZES, head_dim=16, tie_word_embeddings=True, rms_norm_eps=1e-3, dtype='float32',
        rope_parameters=dict(rope_type='default', rope_theta=1000.0)),
    'mistral': transformers.MistralConfig(
        **SIZES, head_dim=24, sliding_window=None, rms_norm_eps=1e-3, dtype='bfloat16',
        rope_parameters=dict(rope_type='default', rope_theta=1000.0)),
    'gpt2': transformers.GPT2Config(
        vocab_size=160, n_embd=48, n_layer=2, n_head=4, n_inner=40, n_positions=64,
        layer_norm_epsilon=1e-3, bos_token_id=1, eos_token_id=2, dtype='float32'),
}


class Doubles(types.ModuleType):
    """torch, but for whom it takes for single precision."""
    float = float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


@contextlib.contextmanager
def double(family):
    """A model in float64 still has its norms, softmax and rotations in float32, by name. Within
    this, that name is float64."""
    modules = [importlib.import_module(f'transformers.models.{family}.modeling_{family}'),
               transformers.modeling_rope_utils]
    for module in modules:
        module.torch = Doubles('torch')
    try:
        yield
    finally:
        for module in modules:
            module.torch = torch


def load(folder, dtype):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation='eager')
    return model.eval()


def linear_layers(model):
    return {name: module for name, module in model.named_modules()
            if isinstance(module, nn.Linear | transformers.pytorch_utils.Conv1D)
            and name != 'lm_head'}


def random_weights(model, generator):
    """Scaled so that scores, activations and logits are neither flat nor saturated."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith('.bias'):
            value = 0.3 * noise
        elif noise.dim() == 1:
            value = 1 + 0.3 * noise
        elif 'embed_tokens' in name or 'wte' in name or 'wpe' in name or name == 'lm_head.weight':
            value = 0.25 * noise
        else:
            fan_in = noise.shape[0 if model.config.model_type == 'gpt2' else 1]
            value = 1.4 * noise / fan_in ** 0.5
        parameter.data.copy_(value)


def random_adapters(model, generator):
    adapters = {}
    for name, module in linear_layers(model).items():
        out_in = module.weight.shape
        if not isinstance(module, nn.Linear):
            out_in = out_in[::-1]
        adapters[f'A.{name}'] = torch.randn(RANK, out_in[1], generator=generator) / out_in[1] ** 0.5
        adapters[f'B.{name}'] = 0.2 * torch.randn(out_in[0], RANK, generator=generator)
    return adapters


def attach(model, adapters):
    def adapt(a, b):
        return lambda module, inputs, output: output + ALPHA / RANK * (inputs[0] @ a.T @ b.T)
    for name, module in linear_layers(model).items():
        module.register_forward_hook(adapt(adapters[f'A.{name}'], adapters[f'B.{name}']))


def random_batch(vocabulary, generator):
    tokens = torch.randint(3, vocabulary, (sum(LENGTHS),), generator=generator)
    tokens[5] = tokens[12]  # one embedding's gradient is a sum
    first = torch.cat([torch.full((n,), sum(LENGTHS[:i])) for i, n in enumerate(LENGTHS)])
    same = first[:-1] == first[1:]
    targets = torch.cat([torch.where(same, tokens[1:], -1), torch.tensor([-1])])
    targets[LENGTHS[0]:LENGTHS[0] + 4] = -1
    return dict(tokens=tokens, targets=targets, first=first)


def packed_logits(model, batch):
    rows, first = torch.arange(len(batch['tokens'])), batch['first']
    seen = (rows[None, :] <= rows[:, None]) & (rows[None, :] >= first[:, None])
    mask = torch.zeros(seen.shape, dtype=model.dtype).masked_fill(~seen, -torch.inf)
    return model(batch['tokens'][None], position_ids=(rows - first)[None],
                 attention_mask=mask[None, None], use_cache=False).logits[0]


def separate_logits(model, batch):
    return torch.cat([model(tokens[None], use_cache=False).logits[0]
                      for tokens in batch['tokens'].split(LENGTHS)])


def loss_of(logits, batch):
    return nn.functional.cross_entropy(logits, batch['targets'].long(), ignore_index=-1)


def gradients(model, batch, leaves):
    """The loss, the logits and the gradients of the leaves, by name."""
    logits = packed_logits(model, batch)
    loss = loss_of(logits, batch)
    found = torch.autograd.grad(loss, list(leaves.values()))
    return loss.detach(), logits.detach(), dict(zip(leaves, found))


def steps(model, batch, leaves, max_norm=None, decay_of_vectors=0.01):
    """The losses, and the norms of all gradients, of AdamW. Changes the leaves."""
    leaves = list(leaves.values())
    groups = [dict(params=[leaf for leaf in leaves if leaf.dim() > 1], weight_decay=0.01),
              dict(params=[leaf for leaf in leaves if leaf.dim() == 1],
                   weight_decay=decay_of_vectors)]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.999), eps=1e-8)
    losses, norms = [], []
    for _ in range(STEPS):
        loss = loss_of(packed_logits(model, batch), batch)
        optimizer.zero_grad()
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(leaves, max_norm or torch.inf))
        losses.append(loss.detach())
        optimizer.step()
    return torch.stack(losses), torch.stack(norms)


def oracle(folder, batch, adapters, dtype):
    """All that golden.safetensors holds but for the batch and the adapters."""
    def fresh():
        model = load(folder, dtype)
        leaves = {name: tensor.to(dtype, copy=True).requires_grad_()
                  for name, tensor in adapters.items()}
        return model, leaves

    def fresh_adapted():
        model, leaves = fresh()
        model.requires_grad_(False)
        attach(model, leaves)
        return model, leaves

    model, _ = fresh()
    loss, logits, found = gradients(model, batch, dict(model.named_parameters()))
    golden = dict(loss=loss, logits=logits) | {f'grad.{name}': g for name, g in found.items()}
    if folder.name == 'llama':
        golden['full.steps'], _ = steps(model, batch, dict(model.named_parameters()))
        model, _ = fresh()
        golden['full.steps_matrices'], _ = steps(model, batch, dict(model.named_parameters()),
                                                 decay_of_vectors=0.0)

    model, leaves = fresh_adapted()
    golden['lora.loss'], _, found = gradients(model, batch, leaves)
    golden |= {f'lora.grad.{name}': g for name, g in found.items()}
    golden['lora.steps'], _ = steps(model, batch, leaves)
    model, leaves = fresh_adapted()
    golden['lora.steps_clipped'], golden['lora.norms'] = steps(model, batch, leaves, max_norm=0.5)
    return golden


def stored(golden):
    """Losses and norms stay in float64."""
    return {name: tensor.contiguous() if tensor.numel() <= STEPS else tensor.float().contiguous()
            for name, tensor in golden.items()}


def make_folder(folder, config, generator):
    model = transformers.AutoModelForCausalLM.from_config(config)
    random_weights(model, generator)
    model.to(config.dtype).save_pretrained(folder)
    (folder / 'generation_config.json').unlink()


def check_packing(folder, batch):
    """Packed samples are to each other as if each were alone."""
    model = load(folder, torch.float64)
    with torch.no_grad():
        packed, separate = packed_logits(model, batch), separate_logits(model, batch)
    assert torch.allclose(packed, separate, rtol=1e-11, atol=1e-11), folder


def compare(golden, single):
    """How far one is from the other: what a test's tolerance must at least allow."""
    def relative(name):
        return ((single[name].double() - golden[name]) / golden[name]).abs().max().item()

    def cosine(prefix):
        return min(torch.cosine_similarity(single[name].double().flatten(), g.flatten(), dim=0)
                   .item() for name, g in golden.items() if name.startswith(prefix))

    def distance(prefix):
        return max(((single[name].double() - g).norm() / g.norm()).item()
                   for name, g in golden.items() if name.startswith(prefix))

    scalars = [name for name in golden if name.endswith(('loss', 'norms')) or 'steps' in name]
    assert all(relative(name) < 5e-5 for name in scalars), 'another seed is needed'
    lines = [f'{name} {relative(name):.1e}' for name in scalars]
    lines += [f'logits {(single["logits"].double() - golden["logits"]).abs().max():.1e} absolute']
    lines += [f'{prefix} 1 - cosine {1 - cosine(prefix):.1e}, distance {distance(prefix):.1e}'
              for prefix in ('grad.', 'lora.grad.')]
    return '; '.join(lines)


def main():
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)  # sums in one order
    for name, config in MODELS.items():
        generator = torch.Generator().manual_seed(SEEDS[name])
        folder = ROOT / name
        folder.mkdir(parents=True, exist_ok=True)
        make_folder(folder, config, generator)
        batch = random_batch(config.vocab_size, generator)
        adapters = random_adapters(load(folder, torch.float32), generator)
        with double(config.model_type):
            check_packing(folder, batch)
            golden = oracle(folder, batch, adapters, torch.float64)
        tensors = {key: value.to(torch.int32) for key, value in batch.items()}
        tensors |= {f'lora.{key}': value for key, value in adapters.items()} | stored(golden)
        safetensors.torch.save_file(tensors, folder / 'golden.safetensors')
        print(f'{name}: loss {golden["loss"]:.4f}, with adapters {golden["lora.loss"]:.4f} to '
              f'{golden["lora.steps"][-1]:.4f}, norms {golden["lora.norms"].min():.3f} to '
              f'{golden["lora.norms"].max():.3f}')
        print('  float32:', compare(golden, oracle(folder, batch, adapters, torch.float32)))


if __name__ == '__main__':
    main()

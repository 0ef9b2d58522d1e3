#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/vectors/lm/flylora.safetensors, what PyTorch makes of FlyLoRA (arXiv 2510.08396) in
float64 on every linear layer of the tiny llama beside it but the head, with the batch of its
golden.safetensors. Written from volt-job(5), FlyLoRA, not from volt's sources. Last run with
torch 2.15.0 and transformers 5.23.0. Needs no GPU and no network. Not part of ./dev test.

  y = A x;  active: the K largest |y + d|, of equal ones the first
  out = W x + (ALPHA / RANK) B (active ? y : 0)
  after each step: d += BALANCE * sign(mean count - count) of each matrix's ranks

RANK = 8, K = 3, ALPHA = 16, BALANCE = 0.05. Gradients of the loss by autograd, through y and not
through the choice. Module names are those of golden.safetensors.

  A.MODULE        [RANK, in] float32; each row has max(1, round(in K / RANK)) elements that are not 0
  B.MODULE        [out, RANK] float32, not zero
  d.MODULE        [RANK] float32, not zero: multiples of BALANCE, with which no choice is close
  loss            [] float64
  grad.B.MODULE   float32
  count.MODULE    [RANK] int32: how many tokens of the batch chose each rank
  steps           [5] float64: the loss of step i, before its update, of AdamW on B (lr 1e-2, betas
                  0.9 and 0.999, eps 1e-8, decoupled weight decay 0.01)
  after.MODULE    [RANK] float32: d after these steps

usage: flylora.py
"""
import safetensors.torch
import torch
import transformers

import models

RANK, K, ALPHA, BALANCE, STEPS, SEED = 8, 3, 16, 0.05, 5, 5


class Adapter:
    def __init__(self, module, generator):
        out, width = module.weight.shape
        nonzeros = max(1, (2 * width * K + RANK) // (2 * RANK))
        a = torch.zeros(RANK, width)
        for row in a:
            places = torch.randperm(width, generator=generator)[:nonzeros]
            row[places] = torch.randn(nonzeros, generator=generator) / RANK
        self.start = dict(A=a, B=0.2 * torch.randn(out, RANK, generator=generator),
                          d=BALANCE * torch.randint(-2, 3, (RANK,), generator=generator).float())
        self.a, self.d = a.double(), self.start['d'].double()
        self.b = self.start['B'].double().requires_grad_()
        self.closest = float('inf')
        module.register_forward_hook(self)

    def __call__(self, module, inputs, output):
        y = inputs[0] @ self.a.T
        size = (y + self.d).abs().detach()
        # A stable sort: of equal ones the first.
        order = size.sort(dim=-1, descending=True, stable=True)
        active = torch.zeros_like(y).scatter(-1, order.indices[..., :K], 1.0)
        gap = order.values[..., K - 1] - order.values[..., K]
        self.closest = min(self.closest, gap.min().item())
        self.count = active.flatten(0, -2).sum(0).round().to(torch.int64)
        return output + ALPHA / RANK * (active * y) @ self.b.T

    def balance(self):
        self.d = self.d + BALANCE * torch.sign(self.count.sum() - RANK * self.count)


def main():
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)  # sums in one order
    folder = models.ROOT / 'llama'
    golden = safetensors.torch.load_file(folder / 'golden.safetensors')
    batch = {key: golden[key].long() for key in ('tokens', 'targets', 'first')}
    generator = torch.Generator().manual_seed(SEED)
    with models.double('llama'):
        model = models.load(folder, torch.float64)
        model.requires_grad_(False)
        adapters = {name: Adapter(module, generator)
                    for name, module in models.linear_layers(model).items()}
        tensors = {f'{key}.{name}': tensor for name, adapter in adapters.items()
                   for key, tensor in adapter.start.items()}
        weights = [adapter.b for adapter in adapters.values()]
        optimizer = torch.optim.AdamW(weights, lr=1e-2, betas=(0.9, 0.999), eps=1e-8,
                                      weight_decay=0.01)
        losses = []
        for step in range(STEPS):
            loss = models.loss_of(models.packed_logits(model, batch), batch)
            optimizer.zero_grad()
            loss.backward()
            if step == 0:
                for name, adapter in adapters.items():
                    tensors[f'grad.B.{name}'] = adapter.b.grad.float()
                    tensors[f'count.{name}'] = adapter.count.int()
            optimizer.step()
            for adapter in adapters.values():
                adapter.balance()
            losses.append(loss.detach())
    tensors['loss'], tensors['steps'] = losses[0], torch.stack(losses)
    tensors |= {f'after.{name}': adapter.d.float() for name, adapter in adapters.items()}
    safetensors.torch.save_file({key: value.contiguous() for key, value in tensors.items()},
                                models.ROOT / 'flylora.safetensors')
    closest = min(adapter.closest for adapter in adapters.values())
    print('losses', [round(loss.item(), 6) for loss in losses], 'closest choice', closest)
    # Beyond what fp32 moves y by, or another token's choice could differ: then another seed is needed.
    assert closest > 2e-6, closest


if __name__ == '__main__':
    main()

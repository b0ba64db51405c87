#!/usr/bin/env python3
"""Writes the model's test vectors (model/testdata) with the PyTorch of cijepa.py.  Usage: golden.py FOLDER

Each objective-*.safetensors holds one case: the weights before, the inputs, what the objective gives, its gradients,
and the state after the last of three updates in which different source depths are sampled. README.md of
model/testdata says what every tensor is. schedules.json holds learning rates and EMA momentums.
"""
import dataclasses
import json
import struct
import sys
from pathlib import Path

import numpy as np
import torch

import cijepa as ref

TYPES = {torch.float32: "F32", torch.int64: "I64", torch.uint8: "U8"}


def save_safetensors(path, tensors, metadata):
    header, offset, blobs = {"__metadata__": {k: str(v) for k, v in metadata.items()}}, 0, []
    for name in sorted(tensors):
        t = tensors[name].detach().cpu().contiguous()
        data = t.numpy().tobytes()
        header[name] = {"dtype": TYPES[t.dtype], "shape": list(t.shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
        blobs.append(data)
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(raw)) + raw + b"".join(blobs))


def state(model, optimizer=None):
    """Every weight under its own name; moments under adam.m/, adam.v/ and adam.step/."""
    out = {n: p.detach().clone() for n, p in model.named_parameters()}
    if optimizer is not None:
        for n, p in model.named_parameters():
            s = optimizer.state.get(p)
            if s:
                out[f"adam.m/{n}"] = s["exp_avg"].clone()
                out[f"adam.v/{n}"] = s["exp_avg_sq"].clone()
                out[f"adam.step/{n}"] = torch.tensor([float(s["step"])])
    return out


def tokens(rng, n, count):
    return torch.from_numpy(np.sort(rng.choice(n, count, replace=False)))


def objective_case(path, cfg, sources_per_step, alpha, beta, seed, batch=2, context=13, target=6, blocks=4):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = ref.CIJEPA(cfg)
    with torch.no_grad():  # far from the initial point, so that every term matters: larger weights, teacher != student
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.05)
    trainer = ref.Trainer(model, weight_decay=0.05)
    n = cfg.grid ** 2
    out = {f"before/{k}": v for k, v in state(model).items()}
    steps = []
    for i, sources in enumerate(sources_per_step):
        images = torch.randn(batch, 3, cfg.image, cfg.image)
        keep = torch.stack([tokens(rng, n, context) for _ in range(batch)])
        where = torch.stack([torch.stack([tokens(rng, n, target) for _ in range(blocks)]) for _ in range(batch)])
        lr, momentum = 1e-3 * (i + 1), 0.99 + 0.002 * i
        pre = f"step{i}"
        out |= {f"{pre}/images": images, f"{pre}/context": keep, f"{pre}/targets": where}
        if i == 0:
            for name, hidden in (("student", model.student(images, keep)), ("teacher", model.teacher(images))):
                out[f"{pre}/hidden/{name}"] = torch.stack(hidden).detach()
            y = torch.stack(model.targets(images, where))
            out[f"{pre}/target_features"] = y
            z = dict(zip(cfg.depths, model.student(images, keep)))
            for s in sources:
                out[f"{pre}/prediction/{s}"] = torch.stack(model.predictors[str(s)](z[s], keep, where)).detach()
        loss, table = trainer.step(images, keep, where, sources, alpha, beta, lr, momentum)
        out |= {f"{pre}/loss": loss.reshape(1), f"{pre}/table": table}
        if i == 0:
            out |= {f"{pre}/grad/{k}": p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}
        out |= {f"{pre}/after/{k}": v for k, v in state(model, trainer.optimizer).items()} if i == len(sources_per_step) - 1 else {}
        steps.append({"sources": sources, "learning_rate": lr, "momentum": momentum})
    save_safetensors(path, out, {
        "config": json.dumps(dataclasses.asdict(cfg)), "alpha": alpha, "beta": beta, "weight_decay": 0.05,
        "steps": json.dumps(steps), "torch": torch.__version__})


def schedules(path):
    total, warmup = 12400, 310
    at = [1, 2, 155, 309, 310, 311, 1000, 6200, 12000, 12399, 12400]
    Path(path).write_text(json.dumps({
        "total": total, "warmup": warmup, "start": 2e-4, "peak": 1e-3, "final": 1e-6, "ema": [0.996, 1.0],
        "rows": [{"step": s, "learning_rate": ref.learning_rate(s, total, warmup, 2e-4, 1e-3, 1e-6),
                  "momentum": ref.ema_momentum(s, total)} for s in at]}, indent=1) + "\n")


def small(**kw):
    base = dict(image=24, patch=4, width=24, depth=5, heads=2, predictor_width=16, predictor_depth=2, predictor_heads=2,
                depths=[1, 2, 3, 4])
    return ref.Config(**{**base, **kw})


def main(out):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    objective_case(out / "objective-hierarchy.safetensors", small(), [[1, 3, 4], [2, 3, 4], [1, 2, 4]], 0.5, 0.8, seed=1)
    objective_case(out / "objective-baseline.safetensors", small(depths=[4]), [[4], [4], [4]], 1.0, 1.0, seed=2)
    objective_case(out / "objective-final-row-only.safetensors", small(), [[4], [4], [4]], 0.25, 0.5, seed=3)
    schedules(out / "schedules.json")


if __name__ == "__main__":
    main(sys.argv[1])

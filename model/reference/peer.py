#!/usr/bin/env python3
"""Times one cI-JEPA training step in PyTorch (cijepa.py): what a user would run instead. Prints one JSON line.

  peer.py --batch 256                      ViT-B/16 at 224 px, bf16 autocast, torch.compile, fused AdamW, on the GPU
  peer.py --device cpu --preset tiny       the same on a CPU, f32, eager, small enough for two cores

The step is complete: teacher forward on all tokens, student forward and backward on the context tokens, three
predictor pathways with all their heads, AdamW on what was sampled, EMA. Inputs are random and already on the device, so
the figure is the step alone, without a data path. Context and target lengths are fixed, as in one step of the Go program.
Under autocast the residual stream is bfloat16, where the Go program keeps float32: the peer moves some 8 % fewer bytes.
"""
import argparse
import json
import random
import time

import torch

import cijepa as ref

PRESETS = {
    "vitb": dict(),
    "tiny": dict(image=32, patch=4, width=64, depth=6, heads=4, predictor_width=32, predictor_depth=2, predictor_heads=2,
                 depths=[1, 2, 3, 4, 5]),
    "small": dict(image=96, patch=8, width=192, depth=12, heads=3, predictor_width=96, predictor_depth=4, predictor_heads=3),
}


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--preset", choices=PRESETS, default="vitb")
    a.add_argument("--device", default="cuda")
    a.add_argument("--batch", type=int, default=256)
    a.add_argument("--context", type=int, default=0, help="context tokens an image; default: a quarter of the grid")
    a.add_argument("--target", type=int, default=0, help="tokens of a target block; default: a sixth of the grid")
    a.add_argument("--steps", type=int, default=30)
    a.add_argument("--warmup", type=int, default=8)
    a.add_argument("--rows", type=int, default=2, help="sampled intermediate source depths, beside the deepest")
    a.add_argument("--pathways", type=int, default=0,
                   help="intermediate depths to sample from, so that fewer predictors are compiled; 0: all")
    a.add_argument("--no-compile", action="store_true")
    a.add_argument("--predictor-depth", type=int, default=0)
    o = a.parse_args()

    cfg = ref.Config(**PRESETS[o.preset])
    if o.predictor_depth:
        cfg.predictor_depth = o.predictor_depth
    cuda = o.device.startswith("cuda")
    n = cfg.grid ** 2
    C, K, M = o.context or n // 4, o.target or n // 6, 4
    torch.manual_seed(0)
    random.seed(0)
    model = ref.CIJEPA(cfg).to(o.device)
    trainer = ref.Trainer(model)
    if cuda:
        torch.set_float32_matmul_precision("high")
        groups = [{"params": g["params"], "weight_decay": g["weight_decay"]} for g in trainer.optimizer.param_groups]
        trainer.optimizer = torch.optim.AdamW(groups, lr=0.0, fused=True)
        if not o.no_compile:
            # The sampled rows differ from step to step: compile the parts, which are the same every time. One part has
            # many instances, so the limit after which Dynamo falls back to eager must be out of the way.
            for name in ("cache_size_limit", "recompile_limit"):
                if hasattr(torch._dynamo.config, name):
                    setattr(torch._dynamo.config, name, 64)
            model.student.forward = torch.compile(model.student.forward)
            model.teacher.forward = torch.compile(model.teacher.forward)
            for p in model.predictors.values():
                p.forward = torch.compile(p.forward)
    images = torch.randn(o.batch, 3, cfg.image, cfg.image, device=o.device)

    def tokens(shape, k):
        return torch.rand(*shape, n, device=o.device).argsort(-1)[..., :k].sort(-1).values

    keep, blocks = tokens((o.batch,), C), tokens((o.batch, M), K)
    pool = cfg.depths[:-1][:o.pathways or None]

    def step():
        middle = random.sample(pool, min(o.rows, len(pool)))
        sources = sorted(middle) + [cfg.depths[-1]]
        with torch.autocast(o.device.split(":")[0], dtype=torch.bfloat16, enabled=cuda):
            return trainer.step(images, keep, blocks, sources, 0.5, 0.8, 1e-4, 0.996)[0]

    def sync():
        if cuda:
            torch.cuda.synchronize()

    begin = time.perf_counter()
    for _ in range(o.warmup):
        step()
    if cuda and not o.no_compile:  # every pathway compiled before the clock starts
        for s in pool:
            with torch.autocast("cuda", dtype=torch.bfloat16):
                trainer.step(images, keep, blocks, [s, cfg.depths[-1]], 0.5, 0.8, 1e-4, 0.996)
    sync()
    warm = time.perf_counter() - begin
    times = []
    for _ in range(o.steps):
        t = time.perf_counter()
        step()
        sync()
        times.append(time.perf_counter() - t)
    times.sort()
    median = times[len(times) // 2]
    print(json.dumps({
        "peer": f"torch {torch.__version__}", "device": torch.cuda.get_device_name() if cuda else "cpu",
        "preset": o.preset, "batch": o.batch, "context": C, "target": K, "rows": o.rows, "compiled": cuda and not o.no_compile,
        "residual": "bfloat16" if cuda else "float32",
        "step_seconds_median": round(median, 5), "step_seconds_min": round(times[0], 5), "images_per_second": round(o.batch / median, 1),
        "warmup_seconds": round(warm, 1), "peak_memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if cuda else None}))


if __name__ == "__main__":
    main()

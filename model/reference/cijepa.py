#!/usr/bin/env python3
"""cI-JEPA in plain PyTorch: the executable form of METHOD.md.

It has two uses:
  1. golden.py writes test vectors with it (weights in; losses, gradients and updated weights out);
  2. peer.py times it as what a user would run instead of the Go program.
It is written to be read, not to be fast; peer.py compiles it. It needs torch 1.13 or later and nothing else.

Shapes in comments: B images, N tokens of the grid, C context tokens, M target blocks, K tokens of a target
block, D encoder width, P predictor width, L collected depths, R sampled source rows.
"""
from dataclasses import dataclass, field
from typing import List, Sequence, Tuple

import math
import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Config:
    image: int = 224
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    predictor_width: int = 384
    predictor_depth: int = 6
    predictor_heads: int = 12
    depths: List[int] = field(default_factory=lambda: list(range(1, 12)))  # the set D, ascending; the last is the deepest
    mlp_ratio: int = 4
    rope_theta: float = 10000.0
    target_norm: bool = True  # layer_norm (no affine) of every teacher depth over its features
    eps: float = 1e-6

    @property
    def grid(self) -> int:
        return self.image // self.patch


def axial_positions(grid: int) -> torch.Tensor:
    """[N, 2] integer (row, column) of every token, row-major."""
    i = torch.arange(grid * grid)
    return torch.stack((i // grid, i % grid), dim=-1)


def rope_tables(grid: int, head_dim: int, theta: float) -> Tuple[torch.Tensor, torch.Tensor]:
    """cos, sin of [N, head_dim]. The first half of the head encodes the row, the second half the column; a half of
    width a has a/2 frequencies theta^(-2i/a), each shared by the adjacent channels 2i and 2i + 1 of that half. This is
    the layout of timm's RotaryEmbeddingCat (grid indexing 'ij', interleaved), so exported weights load there as they are."""
    assert head_dim % 4 == 0, "head dim must be a multiple of 4: two axes, each in pairs"
    a = head_dim // 2
    freq = theta ** (-2.0 * torch.arange(a // 2, dtype=torch.float64) / a)
    angles = axial_positions(grid).double()[:, :, None] * freq  # [N, 2, a/2]
    angles = angles.reshape(grid * grid, a).repeat_interleave(2, dim=-1)
    return angles.cos().float(), angles.sin().float()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """x [..., T, head_dim]; cos, sin broadcastable to it. Adjacent channels (u, v) turn into (u cos - v sin, v cos + u sin)."""
    pairs = x.unflatten(-1, (-1, 2))
    turned = torch.stack((-pairs[..., 1], pairs[..., 0]), dim=-1).flatten(-2)
    return x * cos + turned * sin


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, cos, sin):  # x [B, T, dim]; cos, sin [B or 1, T, head_dim]
        B, T, dim = x.shape
        q, k, v = self.qkv(x).reshape(B, T, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        cos, sin = cos[:, None].to(q.dtype), sin[:, None].to(q.dtype)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = ((q @ k.transpose(-2, -1)) * (dim // self.heads) ** -0.5).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, dim))


class MLP(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))  # exact (erf) GELU


class Block(nn.Module):
    def __init__(self, dim: int, heads: int, cfg: Config):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=cfg.eps)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=cfg.eps)
        self.mlp = MLP(dim, cfg.mlp_ratio * dim)

    def forward(self, x, cos, sin):
        x = x + self.attn(self.norm1(x), cos, sin)
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, cfg: Config):
        super().__init__()
        self.proj = nn.Conv2d(3, cfg.width, cfg.patch, cfg.patch)

    def forward(self, images):  # [B, 3, H, W] -> [B, N, D], tokens row-major
        return self.proj(images).flatten(2).transpose(1, 2)


class Encoder(nn.Module):
    """ViT without class token, without additive position embedding (RoPE instead) and without a final LayerNorm."""

    def __init__(self, cfg: Config):
        super().__init__()
        self.cfg = cfg
        self.patch_embed = PatchEmbed(cfg)
        self.blocks = nn.ModuleList(Block(cfg.width, cfg.heads, cfg) for _ in range(cfg.depth))
        cos, sin = rope_tables(cfg.grid, cfg.width // cfg.heads, cfg.rope_theta)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, images, keep=None):
        """keep [B, C] token indices, or None for all. Returns the list of L hidden states [B, C or N, D], one for
        every depth in cfg.depths: what comes out of that block."""
        x = self.patch_embed(images)
        if keep is None:
            cos, sin = self.cos[None], self.sin[None]
        else:
            x = x.gather(1, keep[..., None].expand(-1, -1, x.shape[-1]))
            cos, sin = self.cos[keep], self.sin[keep]
        collected = []
        for i, block in enumerate(self.blocks):
            x = block(x, cos, sin)
            if i in self.cfg.depths:
                collected.append(x)
        return collected


class Predictor(nn.Module):
    """The pathway of ONE source depth: I-JEPA's narrow ViT, then one linear head for every target depth."""

    def __init__(self, cfg: Config):
        super().__init__()
        P = cfg.predictor_width
        self.predictor_embed = nn.Linear(cfg.width, P)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, P))
        self.predictor_blocks = nn.ModuleList(Block(P, cfg.predictor_heads, cfg) for _ in range(cfg.predictor_depth))
        self.predictor_norm = nn.LayerNorm(P, eps=cfg.eps)
        self.heads = nn.ModuleList(nn.Linear(P, cfg.width) for _ in cfg.depths)
        cos, sin = rope_tables(cfg.grid, P // cfg.predictor_heads, cfg.rope_theta)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, z, keep, targets):
        """z [B, C, D] context at this depth; keep [B, C]; targets [B, M, K]. Returns the list over target depths of
        [B, M, K, D]. Every block m of every image is predicted alone: context tokens + K mask tokens."""
        B, C, _ = z.shape
        M, K = targets.shape[1:]
        x = self.predictor_embed(z)
        x = x[:, None].expand(-1, M, -1, -1).reshape(B * M, C, -1)
        x = torch.cat((x, self.mask_token.expand(B * M, K, -1).to(x.dtype)), dim=1)
        where = torch.cat((keep[:, None].expand(-1, M, -1), targets), dim=-1).reshape(B * M, C + K)
        cos, sin = self.cos[where], self.sin[where]
        for block in self.predictor_blocks:
            x = block(x, cos, sin)
        x = self.predictor_norm(x[:, C:])
        return [head(x).reshape(B, M, K, -1) for head in self.heads]


def row_weights(depths: Sequence[int], source: int, alpha: float, beta: float) -> List[float]:
    """w_{s,t} for one source row: beta (deepest source) or alpha (any other) on the deepest target, the rest shared
    evenly. They sum to one. With a single depth the weight is one."""
    L = len(depths)
    if L == 1:
        return [1.0]
    bias = beta if source == depths[-1] else alpha
    return [(1.0 - bias) / (L - 1)] * (L - 1) + [bias]


class CIJEPA(nn.Module):
    def __init__(self, cfg: Config):
        super().__init__()
        self.cfg = cfg
        self.student = Encoder(cfg)
        self.predictors = nn.ModuleDict({str(s): Predictor(cfg) for s in cfg.depths})
        self.teacher = Encoder(cfg)
        self.apply(initialise)
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)

    def targets(self, images, blocks):
        """Teacher features of every depth at the target tokens: [L][B, M, K, D]."""
        B, M, K = blocks.shape
        with torch.no_grad():
            out = []
            for h in self.teacher(images):
                if self.cfg.target_norm:
                    h = F.layer_norm(h.float(), (h.shape[-1],))  # eps 1e-5, torch's default, as I-JEPA has it
                D = h.shape[-1]
                out.append(h.gather(1, blocks.reshape(B, M * K, 1).expand(-1, -1, D)).reshape(B, M, K, D))
            return out

    def table(self, images, keep, blocks, sources):
        """MSE of every (source row, target depth): [R, L]. Row i is sources[i], ascending."""
        y = self.targets(images, blocks)
        z = dict(zip(self.cfg.depths, self.student(images, keep)))
        rows = []
        for s in sources:
            predictions = self.predictors[str(s)](z[s], keep, blocks)
            rows.append(torch.stack([F.mse_loss(p.float(), t) for p, t in zip(predictions, y)]))
        return torch.stack(rows)

    def loss(self, table, sources, alpha, beta):
        """(1/R) sum_s sum_t w_{s,t} MSE_{s,t}; the mean over the M blocks is inside the MSE (blocks are all of K tokens)."""
        w = torch.tensor([row_weights(self.cfg.depths, s, alpha, beta) for s in sources], device=table.device)
        return (w * table).sum() / len(sources)


def initialise(m: nn.Module):
    """I-JEPA as it runs: truncated normal of std 0.02 for every weight matrix (and the patch projection and the mask
    token), zeros for biases, ones for norms. The cut at +-2 is absolute, so in effect a normal."""
    if isinstance(m, (nn.Linear, nn.Conv2d)):
        nn.init.trunc_normal_(m.weight, std=0.02)
        nn.init.zeros_(m.bias)
    elif isinstance(m, Predictor):
        nn.init.trunc_normal_(m.mask_token, std=0.02)


def learning_rate(step: int, total: int, warmup: int, start: float, peak: float, final: float) -> float:
    """Rate of the step-th update, step counted from 1."""
    if step < warmup:
        return start + step / max(1, warmup) * (peak - start)
    progress = (step - warmup) / max(1, total - warmup)
    return max(final, final + (peak - final) * 0.5 * (1.0 + math.cos(math.pi * progress)))


def ema_momentum(step: int, total: int, first: float = 0.996, last: float = 1.0) -> float:
    """Momentum of the step-th update, step counted from 1 (so the first update uses `first`)."""
    return first + (step - 1) * (last - first) / total


class Trainer:
    """AdamW over student + the sampled predictors, then EMA. A predictor that is not sampled in a step has no
    gradient, so AdamW leaves its weights, moments and step count untouched."""

    def __init__(self, model: CIJEPA, weight_decay: float = 0.05):
        self.model = model
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        plain = [p for n, p in named if n.endswith("bias") or p.ndim == 1]
        decayed = [p for n, p in named if not (n.endswith("bias") or p.ndim == 1)]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}], lr=0.0)

    def step(self, images, keep, blocks, sources, alpha, beta, lr, momentum):
        """One update. Returns (loss, table [R, L])."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        table = self.model.table(images, keep, blocks, sources)
        loss = self.model.loss(table, sources, alpha, beta)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            student, teacher = list(self.model.student.parameters()), list(self.model.teacher.parameters())
            torch._foreach_mul_(teacher, momentum)
            torch._foreach_add_(teacher, student, alpha=1.0 - momentum)
        return loss.detach(), table.detach()

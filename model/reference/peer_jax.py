#!/usr/bin/env python3
"""Times one cI-JEPA training step in JAX, written as its users write it. Prints one JSON line.

  peer_jax.py --batch 256                      ViT-B/16 at 224 px, bf16, cuDNN's flash attention, on the GPU
  peer_jax.py --preset tiny --attention xla    the same at a size for two cores, on JAX's CPU
  peer_jax.py --golden ../testdata             loss, table and gradients in float32 against the golden vectors

The layers are flax's: float32 parameters, bf16 products with their bias and GELU in bf16, LayerNorm statistics in float32.
The step is complete, as in peer.py, with its state donated. XLA's flags are the user's own, so cuDNN's backward pass need
not be deterministic. --residual float32 is the method's precision, bfloat16 is what most users take.
It needs jax 0.11 or later, and nothing else.

Shapes in comments: B images, N tokens of the grid, C context tokens, M target blocks, K tokens of a target block, T tokens
of a sequence, D encoder width, P predictor width, H heads, A width of a head, L collected depths, R sampled source rows.
"""
import argparse
import glob
import json
import os
import struct
import time
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

PRESETS = {
    "vitb": dict(),
    "tiny": dict(image=32, patch=4, width=32, depth=3, heads=2, predictor_width=16, predictor_depth=1, predictor_heads=2,
                 depths=[0, 1, 2]),
}


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
    depths: list = field(default_factory=lambda: list(range(1, 12)))  # ascending; the last is the deepest
    mlp_ratio: int = 4
    products: type = jnp.bfloat16  # of Dense layers and attention
    residual: type = jnp.float32
    rotation: type = jnp.float32
    attention: str = "cudnn"  # or xla

    @property
    def grid(self):
        return self.image // self.patch


# Layers. p are the parameters of a layer: a dictionary of PyTorch's names.


def dense(c, p, x):
    return x.astype(c.products) @ p["weight"].T.astype(c.products) + p["bias"].astype(c.products)


def normalise(x, eps):
    """Mean 0 and variance 1 over the features, in float32. The variance is flax's default, E[x^2] - E[x]^2."""
    x = x.astype(jnp.float32)
    mean = x.mean(-1, keepdims=True)
    variance = jnp.maximum(0.0, (x * x).mean(-1, keepdims=True) - mean * mean)
    return (x - mean) * jax.lax.rsqrt(variance + eps)


def layer_norm(c, p, x):
    return (normalise(x, 1e-6) * p["weight"] + p["bias"]).astype(c.products)


def rope_tables(grid, head, theta=1e4):
    """cos and sin [N, A/2], an angle for each pair of adjacent channels: METHOD.md, section 2."""
    axis = head // 2
    frequencies = theta ** (-2.0 * np.arange(axis // 2) / axis)
    positions = np.stack(np.divmod(np.arange(grid * grid), grid), -1)
    angles = (positions[:, :, None] * frequencies).reshape(grid * grid, axis)
    return jnp.asarray(np.cos(angles), jnp.float32), jnp.asarray(np.sin(angles), jnp.float32)


def rotate(c, x, cos, sin):
    """x [B, T, H, A]; cos and sin [B or 1, T, A/2]."""
    u, v = x[..., ::2].astype(c.rotation), x[..., 1::2].astype(c.rotation)
    cos, sin = cos[:, :, None].astype(c.rotation), sin[:, :, None].astype(c.rotation)
    return jnp.stack((u * cos - v * sin, v * cos + u * sin), -1).reshape(x.shape).astype(x.dtype)


def attention(c, p, x, heads, cos, sin):
    b, t, width = x.shape
    qkv = dense(c, p["qkv"], x).reshape(b, t, 3, heads, width // heads)
    q, k, v = rotate(c, qkv[:, :, 0], cos, sin), rotate(c, qkv[:, :, 1], cos, sin), qkv[:, :, 2]
    y = jax.nn.dot_product_attention(q, k, v, implementation=c.attention)
    return dense(c, p["proj"], y.reshape(b, t, width))


def block(c, p, x, heads, cos, sin):
    x = x + attention(c, p["attn"], layer_norm(c, p["norm1"], x), heads, cos, sin).astype(c.residual)
    h = jax.nn.gelu(dense(c, p["mlp"]["fc1"], layer_norm(c, p["norm2"], x)), approximate=False)
    return x + dense(c, p["mlp"]["fc2"], h).astype(c.residual)


# Networks.


def patchify(c, images):
    """[B, S, S, 3] -> [B, N, 3 patch patch], in the order of the kernel's weights."""
    b, g, p = images.shape[0], c.grid, c.patch
    x = images.reshape(b, g, p, g, p, 3).transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(b, g * g, -1)


def encode(c, p, patches, keep=None):
    """The residual stream [B, T, D] after each collected depth, of the places keep [B, T], or of all."""
    cos, sin = rope_tables(c.grid, c.width // c.heads)
    if keep is None:
        cos, sin = cos[None], sin[None]
    else:
        patches = jnp.take_along_axis(patches, keep[..., None], 1)
        cos, sin = cos[keep], sin[keep]
    embed = p["patch_embed"]["proj"]
    x = dense(c, {"weight": embed["weight"].reshape(c.width, -1), "bias": embed["bias"]}, patches).astype(c.residual)
    hidden = []
    for i in range(c.depth):
        x = block(c, p["blocks"][i], x, c.heads, cos, sin)
        if i in c.depths:
            hidden.append(x)
    return hidden


def predict(c, p, z, keep, targets):
    """z [B, C, D], keep [B, C], targets [B, M, K] -> [B M, K, L, D]."""
    (b, n, _), (m, k), width = z.shape, targets.shape[1:], c.predictor_width
    x = dense(c, p["predictor_embed"], z).astype(c.residual)
    x = jnp.broadcast_to(x[:, None], (b, m, n, width)).reshape(b * m, n, width)
    x = jnp.concatenate([x, jnp.broadcast_to(p["mask_token"].astype(c.residual), (b * m, k, width))], 1)
    where = jnp.concatenate([jnp.broadcast_to(keep[:, None], (b, m, n)), targets], -1).reshape(b * m, n + k)
    cos, sin = (table[where] for table in rope_tables(c.grid, width // c.predictor_heads))
    for layer in p["predictor_blocks"]:
        x = block(c, layer, x, c.predictor_heads, cos, sin)
    x = layer_norm(c, p["predictor_norm"], x[:, n:])
    weight, bias = (jnp.stack([head[name] for head in p["heads"]]) for name in ("weight", "bias"))  # [L, D, P], [L, D]
    return jnp.einsum("bkp,ldp->bkld", x, weight.astype(c.products)) + bias.astype(c.products)


def loss_of(trained, c, teacher, images, keep, targets, sources, weights):
    """The loss, and the table [R, L] of errors. weights [R, L]; sources are the rows but the last, as indices."""
    student, predictors = trained
    if images.dtype == jnp.uint8:
        images = (images.astype(jnp.float32) / 255 - jnp.array([0.485, 0.456, 0.406])) / jnp.array([0.229, 0.224, 0.225])
    patches = patchify(c, images)
    b, m, k = targets.shape
    cells = targets.reshape(b, m * k)[..., None]
    y = jnp.stack([normalise(jnp.take_along_axis(h, cells, 1), 1e-5) for h in encode(c, teacher, patches)], 2)
    y = jax.lax.stop_gradient(y)  # [B, M K, L, D]
    hidden = encode(c, student, patches, keep)
    exits = jnp.stack(hidden)
    rows = []
    for i, p in enumerate(predictors):
        z = hidden[-1] if i == len(predictors) - 1 else exits[sources[i]]
        prediction = predict(c, p, z, keep, targets).reshape(y.shape)
        rows.append(jnp.square(prediction.astype(jnp.float32) - y).mean((0, 1, 3)))
    table = jnp.stack(rows)
    return (table * weights).sum() / len(predictors), table


def adamw(p, m, v, g, rate, count, decay=0.05):
    g = jax.tree.map(lambda x: x.astype(jnp.float32), g)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    c1, c2 = 1 - 0.9 ** count, 1 - 0.999 ** count

    def update(path, p, m, v):
        decayed = 0.0 if path[-1].key == "bias" or p.ndim == 1 else decay * p
        return p - rate * ((m / c1) / (jnp.sqrt(v / c2) + 1e-8) + decayed)

    return jax.tree_util.tree_map_with_path(update, p, m, v), m, v


def make_step(c):
    def step(state, images, keep, targets, sources, weights, rate, momentum):
        trained, m, v, counts, teacher = state
        grad = jax.value_and_grad(loss_of, has_aux=True)
        (loss, table), g = grad(trained, c, teacher, images, keep, targets, sources, weights)
        student = adamw(trained[0], m[0], v[0], g[0], rate, counts[0])
        rows = [adamw(p, m[1][i], v[1][i], g[1][i], rate, counts[1 + i]) for i, p in enumerate(trained[1])]
        teacher = jax.tree.map(lambda t, x: momentum * t + (1 - momentum) * x, teacher, student[0])
        parts = [(student[i], [row[i] for row in rows]) for i in range(3)]
        return (*parts, counts + 1, teacher), loss, table
    return step


# Shapes of the parameters.


def linear(outputs, inputs):
    return {"weight": (outputs, inputs), "bias": (outputs,)}


def norm(width):
    return {"weight": (width,), "bias": (width,)}


def block_shapes(width, ratio):
    return {"norm1": norm(width), "attn": {"qkv": linear(3 * width, width), "proj": linear(width, width)},
            "norm2": norm(width), "mlp": {"fc1": linear(ratio * width, width), "fc2": linear(width, ratio * width)}}


def encoder_shapes(c):
    return {"patch_embed": {"proj": {"weight": (c.width, 3, c.patch, c.patch), "bias": (c.width,)}},
            "blocks": [block_shapes(c.width, c.mlp_ratio) for _ in range(c.depth)]}


def predictor_shapes(c):
    return {"predictor_embed": linear(c.predictor_width, c.width), "mask_token": (1, 1, c.predictor_width),
            "predictor_blocks": [block_shapes(c.predictor_width, c.mlp_ratio) for _ in range(c.predictor_depth)],
            "predictor_norm": norm(c.predictor_width), "heads": [linear(c.width, c.predictor_width) for _ in c.depths]}


def row_weights(depths, source, alpha, beta):
    if len(depths) == 1:
        return [1.0]
    last = beta if source == depths[-1] else alpha
    return [(1 - last) / (len(depths) - 1)] * (len(depths) - 1) + [last]


# What the command does.


def check_golden(folder):
    """Compares the first step of each golden file, in float32."""
    for path in sorted(glob.glob(os.path.join(folder, "objective-*.safetensors"))):
        arrays, meta = read_safetensors(path)
        given = json.loads(meta["config"])
        c = Config(**{k: v for k, v in given.items() if k in Config.__dataclass_fields__},
                   products=jnp.float32, residual=jnp.float32, attention="xla")
        sources = json.loads(meta["steps"])[0]["sources"]
        model = nest({k.removeprefix("before/"): v for k, v in arrays.items() if k.startswith("before/")})
        trained = (model["student"], [model["predictors"][str(s)] for s in sources])
        weights = jnp.array([row_weights(c.depths, s, float(meta["alpha"]), float(meta["beta"])) for s in sources])
        rows = jnp.array([c.depths.index(s) for s in sources[:-1]], jnp.int32)
        step = [jnp.asarray(arrays[f"step0/{name}"]) for name in ("images", "context", "targets")]
        grad = jax.jit(jax.value_and_grad(lambda *a: loss_of(a[0], c, *a[1:]), has_aux=True))
        (loss, table), g = grad(trained, model["teacher"], step[0].transpose(0, 2, 3, 1), *step[1:], rows, weights)
        worst = 0.0
        for names, got in jax.tree_util.tree_flatten_with_path(g)[0]:
            names = [str(getattr(n, "key", getattr(n, "idx", None))) for n in names]
            part = "student" if names[0] == "0" else f"predictors.{sources[int(names.pop(1))]}"
            want = arrays.get(f"step0/grad/{part}." + ".".join(names[1:]), np.zeros(1))
            worst = max(worst, float(np.abs(np.asarray(got) - want).max() / max(np.abs(want).max(), 1e-30)))
        apart = (abs(float(loss) - float(arrays["step0/loss"][0])), float(np.abs(np.asarray(table) - arrays["step0/table"]).max()))
        print(f"{os.path.basename(path)}: loss {apart[0]:.1e}, table {apart[1]:.1e}, worst gradient {worst:.1e} apart")
        if max(*apart, worst) > 2e-5:
            raise SystemExit("too far apart")


def read_safetensors(path):
    with open(path, "rb") as f:
        raw = f.read()
    size, = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + size])
    meta = header.pop("__metadata__")
    types = {"F32": np.float32, "I64": np.int64}
    return {name: np.frombuffer(raw[8 + size + a["data_offsets"][0]:8 + size + a["data_offsets"][1]], types[a["dtype"]])
            .reshape(a["shape"]) for name, a in header.items()}, meta


def nest(flat):
    """{"a.0.b": x} -> {"a": [{"b": x}]}."""
    root = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        place = root
        for part in path:
            place = place.setdefault(part, {})
        place[last] = jnp.asarray(value)

    def listed(d):
        if not isinstance(d, dict):
            return d
        if all(str(i) in d for i in range(len(d))):
            return [listed(d[str(i)]) for i in range(len(d))]
        return {k: listed(v) for k, v in d.items()}
    return listed(root)


def accept_odd_lengths():
    """JAX refuses cuDNN's backward pass for odd lengths (83 tokens here) where there is a bias, and its own VJP always passes
    one. cuDNN itself takes them."""
    from jax._src.cudnn import fused_attention_stablehlo as fused
    fused.check_is_flash_attention = lambda *args, **options: None


def time_steps(o):
    c = Config(**PRESETS[o.preset], residual=jnp.dtype(o.residual), rotation=jnp.dtype(o.residual), attention=o.attention)
    if c.attention == "cudnn":
        accept_odd_lengths()
    n, m, rows = c.grid ** 2, 4, min(o.rows + 1, len(c.depths))
    context, target = o.context or n // 4, o.target or n // 6
    random = np.random.default_rng(0)
    is_shape = lambda t: isinstance(t, tuple) and all(isinstance(i, int) for i in t)
    draw = lambda shapes: jax.tree.map(lambda s: jnp.asarray(random.standard_normal(s, np.float32) * 0.02), shapes, is_leaf=is_shape)
    zeros = lambda tree: jax.tree.map(jnp.zeros_like, tree)
    pick = lambda shape, k: jnp.asarray(np.sort(random.random((*shape, n)).argsort(-1)[..., :k], -1), jnp.int32)
    trained = (draw(encoder_shapes(c)), [draw(predictor_shapes(c)) for _ in range(rows)])
    state = (trained, zeros(trained), zeros(trained), jnp.ones(1 + rows), jax.tree.map(jnp.copy, trained[0]))
    weights = jnp.asarray([row_weights(c.depths, s, 0.5, 0.8) for s in (*c.depths[:rows - 1], c.depths[-1])])
    images = jnp.asarray(random.integers(0, 256, (o.batch, c.image, c.image, 3), np.uint8))
    inputs = (images, pick((o.batch,), context), pick((o.batch, m), target), jnp.arange(rows - 1), weights,
              jnp.float32(1e-4), jnp.float32(0.996))
    begin = time.perf_counter()
    step = jax.jit(make_step(c), donate_argnums=0).lower(state, *inputs).compile()
    compiled = time.perf_counter() - begin
    times = []
    for _ in range(o.warmup + o.steps):
        begin = time.perf_counter()
        state, loss, _ = step(state, *inputs)
        jax.block_until_ready((state, loss))
        times.append(time.perf_counter() - begin)
    times = sorted(times[o.warmup:])
    median = times[len(times) // 2]
    memory = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    print(json.dumps({
        "peer": f"jax {jax.__version__}", "device": jax.devices()[0].device_kind, "preset": o.preset, "batch": o.batch,
        "context": context, "target": target, "rows": rows - 1, "residual": o.residual, "attention": o.attention,
        "step_seconds_median": round(median, 5), "step_seconds_min": round(times[0], 5), "images_per_second": round(o.batch / median, 1),
        "compile_seconds": round(compiled, 1), "loss": round(float(loss), 4),
        "peak_memory_gib": round(memory / 2**30, 2) if memory else None}))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--golden", help="folder of golden vectors to compare with, instead of timing")
    a.add_argument("--preset", choices=PRESETS, default="vitb")
    a.add_argument("--attention", choices=("cudnn", "xla"), default="cudnn")
    a.add_argument("--residual", choices=("float32", "bfloat16"), default="float32", help="type of the residual stream and of RoPE")
    a.add_argument("--batch", type=int, default=256)
    a.add_argument("--context", type=int, default=0, help="context tokens an image; default: a quarter of the grid")
    a.add_argument("--target", type=int, default=0, help="tokens of a target block; default: a sixth of the grid")
    a.add_argument("--steps", type=int, default=30)
    a.add_argument("--warmup", type=int, default=8)
    a.add_argument("--rows", type=int, default=2, help="sampled intermediate source depths, beside the deepest")
    o = a.parse_args()
    if o.golden:
        check_golden(o.golden)
    else:
        time_steps(o)


if __name__ == "__main__":
    main()

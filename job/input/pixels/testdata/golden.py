#!/usr/bin/env python3
"""Writes testdata/golden: JPEG files of the awkward kinds that ImageNet holds, what Pillow decodes from each, and what
torchvision's transforms make of them for given crop boxes.  Usage: golden.py FOLDER [SEED]

The transforms are: crop (left, top, width, height), then Image.resize(size, filter), then an optional left-right flip:
RandomResizedCrop with its random parameters given. eval256 is Resize(256, BICUBIC) on the shorter side, CenterCrop(224).
Pillow ignores EXIF orientation, so do these.
"""
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import InterpolationMode as Mode


def picture(rng, w, h):
    """Something with smooth parts, hard edges, fine texture and saturated colours."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    out = np.zeros((h, w, 3))
    for c in range(3):
        for _ in range(6):
            fx, fy = rng.uniform(-0.25, 0.25, 2) * rng.choice([0.05, 0.3, 1.0])
            out[..., c] += rng.uniform(10, 60) * np.sin(2 * np.pi * (fx * x + fy * y) + rng.uniform(0, 6.28))
        out[..., c] += 128
    for _ in range(8):
        cx, cy, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(3, max(4, min(w, h) / 3))
        out[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = rng.uniform(0, 255, 3)
    out += rng.normal(0, 6, out.shape)
    return Image.fromarray(out.clip(0, 255).astype(np.uint8))


def main(out, seed):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    kinds = {
        "photo420": ((375, 281), dict(quality=92, subsampling=2)),
        "photo444": ((250, 333), dict(quality=95, subsampling=0)),
        "photo422": ((300, 200), dict(quality=85, subsampling=1)),
        "progressive": ((320, 240), dict(quality=88, progressive=True)),
        "gray": ((260, 260), dict(quality=90)),
        "cmyk": ((280, 210), dict(quality=90)),
        "turned": ((300, 225), dict(quality=90)),
        "tiny": ((41, 30), dict(quality=90)),
        "wide": ((700, 60), dict(quality=90)),
    }
    cases = []
    for name, ((w, h), options) in kinds.items():
        im = picture(rng, w, h)
        if name == "gray":
            im = im.convert("L")
        if name == "cmyk":
            im = im.convert("CMYK")
        if name == "turned":
            exif = Image.Exif()
            exif[0x0112] = 6
            options["exif"] = exif
        im.save(out / f"{name}.jpg", **options)
        rgb = Image.open(out / f"{name}.jpg").convert("RGB")
        rgb.save(out / f"{name}.decoded.png")
        boxes = [(0, 0, w, h)]
        for _ in range(2):
            bw, bh = int(rng.integers(max(1, w // 4), w + 1)), int(rng.integers(max(1, h // 4), h + 1))
            boxes.append((int(rng.integers(0, w - bw + 1)), int(rng.integers(0, h - bh + 1)), bw, bh))
        for i, (left, top, bw, bh) in enumerate(boxes):
            for filter_name, mode in (("bilinear", Mode.BILINEAR), ("bicubic", Mode.BICUBIC)):
                size = 224 if i == 0 else 96
                flip = i == 2
                got = T.functional.resized_crop(rgb, top, left, bh, bw, [size, size], mode)
                if flip:
                    got = T.functional.hflip(got)
                file = f"{name}.{i}.{filter_name}.png"
                got.save(out / file)
                cases.append({"image": f"{name}.jpg", "left": left, "top": top, "width": bw, "height": bh, "size": size,
                              "filter": filter_name, "flip": flip, "want": file})
        got = T.CenterCrop(224)(T.Resize(256, Mode.BICUBIC)(rgb))
        got.save(out / f"{name}.eval256.png")
        cases.append({"image": f"{name}.jpg", "eval": {"resize": 256, "crop": 224, "filter": "bicubic"}, "want": f"{name}.eval256.png"})
    (out / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)

#!/usr/bin/env python3
"""Writes testdata/kinds: images of the kinds that testdata/golden lacks, each with what Pillow decodes from it.

Usage: pillow.py kinds FOLDER
       pillow.py speed FOLDER    images per CPU-second over the JPEG files of a folder: decode, crop, resize, flip
       pillow.py hashes FOLDER   SHA-256 of what Pillow decodes from the JPEG files of a folder
"""
import hashlib
import io
import math
import random
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile


ImageFile.LOAD_TRUNCATED_IMAGES = True  # an image without its end marker may be complete


def picture(width, height, seed):
    """Smooth parts, edges, texture and saturated colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    out = np.zeros((height, width, 3))
    for c in range(3):
        fx, fy = rng.uniform(-0.2, 0.2, 2)
        out[..., c] = 128 + 110 * np.sin(2 * np.pi * (fx * x + fy * y) + c)
    out[(x - width / 2) ** 2 + (y - height / 3) ** 2 < 40] = (250, 10, 30)
    out += rng.normal(0, 8, out.shape)
    return Image.fromarray(out.clip(0, 255).astype(np.uint8))


def raw_png(width, height, depth, colour, rows):
    """A PNG file of a kind that Pillow does not write."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    body = b"".join(b"\0" + row for row in rows)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def scans(jpeg):
    """The places where the scans of a JPEG file begin."""
    places, at = [], 2
    while at < len(jpeg) - 1:
        if jpeg[at] != 0xFF or jpeg[at + 1] in (0, 0xFF) or 0xD0 <= jpeg[at + 1] <= 0xD7:
            at += 1
            continue
        if jpeg[at + 1] == 0xD9:
            break
        if jpeg[at + 1] == 0xDA:
            places.append(at)
        at += 2 + struct.unpack(">H", jpeg[at + 2:at + 4])[0]
    return places


def kinds(folder):
    folder.mkdir(parents=True, exist_ok=True)
    files = {}

    def save(name, image, format, **options):
        out = io.BytesIO()
        image.save(out, format, **options)
        files[name] = out.getvalue()

    p, odd = picture(48, 36, 1), picture(37, 29, 2)
    alpha = Image.linear_gradient("L").resize(odd.size)
    rgba = odd.copy()
    rgba.putalpha(alpha)
    gray = odd.convert("L")
    save("bits1.png", gray.convert("1"), "PNG")
    save("palette.png", odd.quantize(200), "PNG")
    save("palette16.png", odd.quantize(16), "PNG", bits=4)
    save("palette-transparent.png", odd.quantize(20), "PNG", transparency=3)
    save("gray.png", gray, "PNG")
    save("gray-transparent.png", gray, "PNG", transparency=100)
    save("gray-alpha.png", rgba.convert("LA"), "PNG")
    save("rgb.png", odd, "PNG")
    save("rgb-transparent.png", odd, "PNG", transparency=(250, 10, 30))
    save("rgba.png", rgba, "PNG")
    wide = np.asarray(odd).astype(np.uint16) * 257 + np.arange(37, dtype=np.uint16)[None, :, None]
    files["rgb16.png"] = raw_png(37, 29, 16, 2, [row.astype(">u2").tobytes() for row in wide])
    steps = (np.arange(29)[:, None] * 9 + np.arange(37)[None, :] * 5).astype(np.uint16)
    files["gray16.png"] = raw_png(37, 29, 16, 0, [row.astype(">u2").tobytes() for row in steps])
    save("lossy.webp", p, "WEBP", quality=80)
    save("lossy-odd.webp", odd, "WEBP", quality=60)
    save("lossy-alpha.webp", rgba, "WEBP", quality=80, exact=True)
    save("lossless.webp", odd, "WEBP", lossless=True)
    save("lossless-alpha.webp", rgba, "WEBP", lossless=True, exact=True)

    save("restart.jpg", p, "JPEG", quality=90, restart_marker_blocks=3)
    save("rgb.jpg", odd, "JPEG", quality=90, keep_rgb=True)
    save("one.jpg", picture(1, 1, 3), "JPEG")
    save("narrow.jpg", picture(3, 50, 4), "JPEG", subsampling=2)
    save("flat.jpg", picture(50, 2, 5), "JPEG", subsampling=2)
    save("small-420.jpg", odd, "JPEG", quality=85, subsampling=2)
    whole = files["small-420.jpg"]
    files["garbage-behind.jpg"] = whole + bytes(100)
    files["no-end.jpg"] = whole[:-2]
    save("progressive.jpg", p, "JPEG", quality=90, progressive=True)
    # Without the last scans an image is complete but coarse; libjpeg smooths it.
    whole = files["progressive.jpg"]
    files["unrefined.jpg"] = whole[:scans(whole)[-3]] + b"\xff\xd9"

    for name, data in files.items():
        (folder / name).write_bytes(data)
        image = Image.open(io.BytesIO(data)).convert("RGB")
        image.info = {}  # or save would make a colour transparent
        image.save(folder / (name + ".decoded.png"), optimize=True)


def speed(folder):
    files = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    best = [math.inf] * len(files)
    for _ in range(5):
        for i, data in enumerate(files):
            rng = random.Random(i)  # the same box in every round
            start = time.process_time()
            image = Image.open(io.BytesIO(data)).convert("RGB")
            width, height = image.size
            area, ratio = width * height * rng.uniform(0.3, 1), math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
            w, h = min(width, round(math.sqrt(area * ratio))), min(height, round(math.sqrt(area / ratio)))
            left, top = rng.randint(0, width - w), rng.randint(0, height - h)
            image = image.crop((left, top, left + w, top + h)).resize((224, 224), Image.BICUBIC)
            image.transpose(Image.FLIP_LEFT_RIGHT).tobytes()
            best[i] = min(best[i], time.process_time() - start)
    print(f"{len(files) / sum(best):.1f} images/cpu-s")


def hashes(folder):
    for path in sorted(folder.glob("*.jpeg")):
        image = Image.open(path).convert("RGB")
        print(path.name, *image.size, hashlib.sha256(image.tobytes()).hexdigest())


if __name__ == "__main__":
    {"kinds": kinds, "speed": speed, "hashes": hashes}[sys.argv[1]](Path(sys.argv[2]))

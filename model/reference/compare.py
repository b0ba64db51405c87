#!/usr/bin/env python3
"""Compares golden files made again with the committed ones.  Usage: compare.py COMMITTED GENERATED

Both are folders with the same paths below them, as regenerate writes them. Exits with 1 after naming every difference:
  - file sets: the folders that GENERATED has must hold the same files of the generated suffixes;
  - *.safetensors: names, types, shapes, integers, step counts and metadata (less torch's version) exactly; floats within
    TOLERANCE of the tensor's largest absolute value;
  - *.json: exactly, but floats within JSON_TOLERANCE of their own size;
  - *.png: mode, size and pixels exactly (how they are compressed is zlib's affair); anything else byte for byte.
"""
import json
import math
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image

# Another instruction set sums in another order: AVX-512 and none gave at most 2e-6 from AVX2.
TOLERANCE = 1e-5
# Adam divides a gradient by its own size, so a gradient near rounding error moves its weight and its moments by another part
# of the learning rate. This share of the elements of the state after the updates may differ by more, up to the bound.
ADAM_TOLERANCE, ADAM_SHARE = 5e-4, 1e-4
JSON_TOLERANCE = 1e-12
TYPES = {"F32": np.float32, "I64": np.int64, "U8": np.uint8}


def read(path):
    """The metadata and the arrays of a safetensors file."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8:8 + size]), data[8 + size:]
    metadata = header.pop("__metadata__", {})
    return metadata, {name: np.frombuffer(body[slice(*e["data_offsets"])], TYPES[e["dtype"]]).reshape(e["shape"])
                      for name, e in header.items()}


def tensors(want_path, got_path):
    (want_meta, want), (got_meta, got) = read(want_path), read(got_path)
    versions = want_meta.pop("torch", "?"), got_meta.pop("torch", "?")
    if want_meta != got_meta:
        yield f"metadata {got_meta}, committed {want_meta}"
    if want.keys() != got.keys():
        yield f"only in one of the two: {', '.join(sorted(want.keys() ^ got.keys()))}"
    worst, worst_after, state, above = 0.0, 0.0, 0, 0
    for name in sorted(want.keys() & got.keys()):
        a, b = want[name], got[name]
        if a.dtype != b.dtype or a.shape != b.shape:
            yield f"{name} is {b.dtype}{list(b.shape)}, committed {a.dtype}{list(a.shape)}"
        elif a.dtype != np.float32 or "/adam.step/" in name:
            if not np.array_equal(a, b):
                yield f"{name}: {np.count_nonzero(a != b)} of {a.size} elements differ"
        else:
            difference = np.abs(a.astype(np.float64) - b) / max(np.abs(a).max(), 1e-30)
            most = difference.max() if np.isfinite(difference).all() else math.inf
            after = "/after/" in name
            if after:
                worst_after, state, above = max(worst_after, most), state + a.size, above + np.count_nonzero(difference > TOLERANCE)
            else:
                worst = max(worst, most)
            if most > (ADAM_TOLERANCE if after else TOLERANCE):
                yield f"{name} differs by {most:.2g} of its largest value"
    if above > ADAM_SHARE * state:
        yield f"{above} of {state} elements of the state differ by more than {TOLERANCE:g}"
    print(f"{want_path.name}: {len(want)} tensors within {worst:.2g}, the state after the updates within {worst_after:.2g}, "
          f"{above} of its {state} elements above {TOLERANCE:g} (torch {versions[1]}, committed {versions[0]})")


def values(want, got, at=""):
    if isinstance(want, float) and isinstance(got, float):
        if not math.isclose(want, got, rel_tol=JSON_TOLERANCE):
            yield f"{at} is {got}, committed {want}"
    elif isinstance(want, dict) and isinstance(got, dict) and want.keys() == got.keys():
        for key in want:
            yield from values(want[key], got[key], f"{at}.{key}")
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for i, pair in enumerate(zip(want, got)):
            yield from values(*pair, f"{at}[{i}]")
    elif type(want) is not type(got) or want != got:
        yield f"{at} is {got}, committed {want}"


def pixels(path):
    with Image.open(path) as image:
        return image.mode, image.size, image.info.get("transparency"), image.getpalette(), image.tobytes()


def compare(want, got):
    if want.suffix == ".safetensors":
        yield from tensors(want, got)
    elif want.suffix == ".json":
        yield from values(json.loads(want.read_text()), json.loads(got.read_text()))
    elif want.read_bytes() != got.read_bytes() and not (want.suffix == ".png" and pixels(want) == pixels(got)):
        yield "differs"


def main(committed, generated):
    made = {path.relative_to(generated) for path in generated.rglob("*") if path.is_file()}
    kinds = {(path.parent, path.suffix) for path in made}
    there = {path.relative_to(committed) for folder, suffix in kinds for path in (committed / folder).glob("*" + suffix)}
    faults = [f"{path}: {'not committed' if path in made else 'not made again'}" for path in sorted(made ^ there)]
    for path in sorted(made & there):
        faults += [f"{path}: {fault}" for fault in compare(committed / path, generated / path)]
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"{len(made & there)} golden files compared, {len(faults)} differences")
    return 1 if faults or not made else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

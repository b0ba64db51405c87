"""Computes the figures of results again from their predictions, with numpy alone. predictions.py RESULT.json..."""
import json
import pathlib
import sys

import numpy

for path in map(pathlib.Path, sys.argv[1:]):
    result = json.loads(path.read_text())
    p = numpy.load(path.parent / result["predictions"]["file"])
    top1 = {name: 100 * (p[f"{name}_class"] == p["labels"]).sum(axis=1) / len(p["labels"]) for name in ("probe", "untrained_probe", "knn", "untrained_knn")}
    top5 = 100 * (p["probe_rank"] < 5).sum(axis=1) / len(p["labels"])
    said = result["metrics"]
    assert len(p["labels"]) == result["data"]["validation_samples"], path
    for i, depth in enumerate(said["depths"]):
        again = {"depth": p["depths"][i], "top1": top1["probe"][i], "top5": top5[i], "untrained_top1": top1["untrained_probe"][i]}
        assert depth == again, (path, depth, again)
    again = top1["probe"][-1], top5[-1], top1["untrained_probe"][-1], top1["knn"][-1], top1["untrained_knn"][-1]
    assert again == tuple(said[name] for name in ("top1", "top5", "untrained_top1", "knn_top1", "untrained_knn_top1")), (path, again)
    print(f"{path.parent.name}: top-1 {again[0]:.2f} %, as its result says, from {result['predictions']['size']:,} bytes")

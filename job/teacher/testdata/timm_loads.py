"""timm_loads.py FOLDER [IMAGE...]: loads a folder with timm, as from a disk and as from the hub, and prints JSON.

FOLDER has config.json, README.md and one safetensors file. Of every image it prints the output of the model and the mean
over the tokens of every block, after timm's own preprocessing; of the card, the figures that the hub reads, and the features of
the first image by each of its two pieces of code, run as they stand.
"""
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

cache = Path(tempfile.mkdtemp())  # a cache that has the model: the hub is not asked
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_CACHE"] = str(cache)

import timm
import torch
from huggingface_hub import ModelCard
from PIL import Image

folder, images = Path(sys.argv[1]), sys.argv[2:]
model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
out = {"version": timm.__version__, "features": [], "depths": []}
with torch.no_grad():
    for path in images:
        x = transform(Image.open(path).convert("RGB")).unsqueeze(0)
        out["features"].append(model(x)[0].tolist())
        blocks = model.forward_intermediates(x, intermediates_only=True, output_fmt="NLC")
        out["depths"].append([b.mean(dim=1)[0].tolist() for b in blocks])

card = ModelCard.load(folder / "README.md").data
out["card"] = {"library": card.library_name, "pipeline": card.pipeline_tag, "datasets": card.datasets, "model": card.model_name,
               "metrics": [[r.task_name, r.dataset_name, r.metric_name, r.metric_value] for r in card.eval_results or []]}

out["snippets"] = []
first, second = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
here = os.getcwd()
if images:
    shutil.copy(images[0], folder / "image.jpg")
    os.chdir(folder)
    names = {}
    exec(first, names)
    out["snippets"] += [names["features"], names["tokens"].mean(dim=1), names["depths"][-1].mean(dim=1)]
    x = names["images"]
    exec(second, names := {})
    out["snippets"].append(names["model"].eval()(x))
    out["snippets"] = [f[0].tolist() for f in out["snippets"]]
    os.chdir(here)

out["hub"] = None
if (folder / "model.safetensors").exists():  # the name under which the hub's tools look for weights
    entry = cache / "models--owner--name"
    (entry / "refs").mkdir(parents=True)
    (entry / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, entry / "snapshots" / ("0" * 40))
    other = timm.create_model("hf-hub:owner/name", pretrained=True).state_dict()
    out["hub"] = all(torch.equal(v, other[k]) for k, v in model.state_dict().items())
shutil.rmtree(cache)
print(json.dumps(out))

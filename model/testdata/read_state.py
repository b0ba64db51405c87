"""read_state.py FILE...: reads safetensors files with Python's safetensors and torch, and prints {name: sha256 of its bytes}.

Every weight of a linear layer is also loaded, strictly, into a torch.nn.Linear of its own shape, with its bias.
"""
import hashlib
import json
import sys

import torch
from safetensors.torch import load_file

hashes, layers = {}, 0
for file in sys.argv[1:]:
    tensors = load_file(file)
    for name, tensor in tensors.items():
        hashes[name] = hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
        layer = name.removesuffix(".weight")
        if tensor.ndim == 2 and layer != name:
            out, into = tensor.shape
            torch.nn.Linear(into, out).load_state_dict({"weight": tensor, "bias": tensors[layer + ".bias"]}, strict=True)
            layers += 1
print(json.dumps({"hashes": hashes, "layers": layers}))

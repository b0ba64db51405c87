"""timm_features.py ENCODER IMAGES SIZES: loads an exported encoder into timm and prints its features as JSON.

ENCODER is the exported safetensors file, IMAGES a file of normalised float32 images [B, 3, S, S], SIZES a JSON object.
"""
import json
import sys

import torch
from safetensors.torch import load_file
from timm.models.eva import Eva

encoder, images, sizes = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
model = Eva(
    img_size=sizes["image"], patch_size=sizes["patch"], embed_dim=sizes["width"], depth=sizes["depth"],
    num_heads=sizes["heads"], mlp_ratio=sizes["mlp_ratio"], attn_type="rope", use_rot_pos_emb=True,
    rope_temperature=sizes["rope_theta"], use_abs_pos_emb=False, class_token=False, num_classes=0, global_pool="",
    use_fc_norm=False, use_post_transformer_norm=False)
model.load_state_dict(load_file(encoder), strict=True)
with torch.no_grad():
    features = model.eval().forward_features(load_file(images)["images"])  # [B, N, D]
print(json.dumps(features.flatten().tolist()))

package teacher

import (
	"encoding/json"
	"math"

	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/model"
)

// architecture is an entry of timm's registry that builds timm.models.eva.Eva. Every argument in
// which it differs from our network is overridden.
const architecture = "vit_base_patch16_rope_224"

// timmConfig is config.json as timm writes and reads it.
type timmConfig struct {
	Architecture  string         `json:"architecture"`
	NumClasses    int            `json:"num_classes"`
	NumFeatures   int            `json:"num_features"`
	GlobalPool    string         `json:"global_pool"`
	ModelArgs     map[string]any `json:"model_args"`
	PretrainedCfg map[string]any `json:"pretrained_cfg"`
}

// Config returns config.json: with it timm.create_model("local-dir:FOLDER", pretrained=True) builds
// the network and loads the one safetensors file of the folder. The model has no classifier; its
// output is the mean over the tokens, which is what the probe sees. The preprocessing is that of
// evaluation here.
func Config(c model.Config) ([]byte, error) {
	const pool = "avg"
	text, err := json.MarshalIndent(timmConfig{
		Architecture: architecture, NumFeatures: c.Width, GlobalPool: pool,
		ModelArgs: map[string]any{
			"img_size": c.Image, "patch_size": c.Patch, "embed_dim": c.Width, "depth": c.Depth, "num_heads": c.Heads,
			"mlp_ratio": c.MLPRatio, "attn_type": "rope", "use_rot_pos_emb": true, "rope_temperature": c.RopeTheta,
			"rope_grid_indexing": "ij", "use_abs_pos_emb": false, "class_token": false, "init_values": nil,
			"global_pool": pool, "use_fc_norm": false, "use_post_transformer_norm": false,
		},
		PretrainedCfg: map[string]any{
			"tag": "cijepa", "input_size": []int{3, c.Image, c.Image}, "fixed_input_size": true, "pool_size": []int{c.Grid(), c.Grid()},
			"interpolation": pixels.EvaluationCrop(c.Image).Filter.String(), "crop_pct": cropShare(c.Image), "crop_mode": "center",
			"mean": model.PixelMean, "std": model.PixelStd,
			"num_classes": 0, "first_conv": "patch_embed.proj", "classifier": "head",
		},
	}, "", "  ")
	return append(text, '\n'), err
}

// cropShare is the share of the resized image's shorter side that evaluation keeps. timm computes
// floor(size/share) for that side, which must not be one pixel short.
func cropShare(size int) float64 {
	shorter := float64(pixels.EvaluationCrop(size).Shorter)
	share := float64(size) / shorter
	for math.Floor(float64(size)/share) < shorter {
		share = math.Nextafter(share, 0)
	}
	return share
}

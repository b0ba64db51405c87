package model

import (
	"fmt"
	"io"
	"maps"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/cijepa/cijepa/model/safetensors"
)

// Encoder is an encoder in the memory of the host: a teacher of some moment, or an untrained one.
type Encoder struct {
	cfg    Config
	stacks []stack
}

// InitialEncoder is the encoder, student and teacher alike, from which a Learner with this seed begins.
func InitialEncoder(cfg Config, seed uint64) (*Encoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &Encoder{cfg: cfg}
	for i, a := range cfg.encoderArrays() {
		e.stacks = append(e.stacks, stack{array: a, data: initial(a, seed, studentSeed, i)})
	}
	return e, nil
}

// Encoder copies the teacher to the host.
func (l *Learner) Encoder() (e *Encoder, err error) {
	defer recovered(&err, "copying the teacher")
	if l.lost != nil {
		return nil, fmt.Errorf("copying the teacher: the state was lost before: %w", l.lost)
	}
	e = &Encoder{cfg: l.Config}
	for i, a := range l.encoderArrays() {
		data, err := l.device.download(l.teacher[i])
		if err != nil {
			return nil, fmt.Errorf("copying the teacher: %w", err)
		}
		e.stacks = append(e.stacks, stack{array: a, data: data})
	}
	return e, nil
}

// Export writes the encoder as safetensors under timm's names, which are the reference's: "blocks.0.attn.qkv.weight". The
// metadata are free, beside "format", which is set. In Python, for the sizes of ViT-B/16:
//
//	from safetensors.torch import load_file
//	from timm.models.eva import Eva
//	model = Eva(img_size=224, patch_size=16, embed_dim=768, depth=12, num_heads=12, mlp_ratio=4, attn_type="rope",
//	            use_rot_pos_emb=True, rope_temperature=10000, use_abs_pos_emb=False, class_token=False, num_classes=0,
//	            global_pool="", use_fc_norm=False, use_post_transformer_norm=False)
//	model.load_state_dict(load_file("teacher.safetensors"), strict=True)
//	features = model.eval().forward_features(images)  # [B, 3, 224, 224] normalised -> [B, 196, 768]
func (e *Encoder) Export(w io.Writer, metadata map[string]string) error {
	all := maps.Clone(formatMetadata)
	maps.Copy(all, metadata)
	return safetensors.Write(w, e.named(), all)
}

// ReadEncoder reads what Export wrote for an encoder of these sizes.
func ReadEncoder(cfg Config, r io.Reader) (*Encoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &Encoder{cfg: cfg}
	for _, a := range cfg.encoderArrays() {
		e.stacks = append(e.stacks, stack{array: a, data: make([]byte, 4*a.size())})
	}
	if err := safetensors.Read(r, e.named()); err != nil {
		return nil, fmt.Errorf("reading an encoder: %w", err)
	}
	return e, nil
}

func (e *Encoder) named() (list []safetensors.Array) {
	for _, s := range e.stacks {
		list = append(list, s.named()...)
	}
	return list
}

// upload copies the encoder to a device, in the order of encoderArrays.
func (e *Encoder) upload(d *Device) (list []*tensors.Tensor, err error) {
	for _, s := range e.stacks {
		t, err := d.upload(s.data, s.shape())
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

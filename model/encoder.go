package model

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/cijepa/cijepa/model/safetensors"
)

// Encoder is an encoder in the memory of the host: a teacher of some moment, or an untrained one.
type Encoder struct {
	cfg    Config
	stacks []stackedTensor
}

// InitialEncoder is the encoder, student and teacher alike, from which a Learner with this seed begins.
func InitialEncoder(cfg Config, seed uint64) (*Encoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &Encoder{cfg: cfg}
	for i, a := range cfg.encoderArrays() {
		e.stacks = append(e.stacks, stackedTensor{array: a, data: initialValues(a, seed, studentSeed, i)})
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
		e.stacks = append(e.stacks, stackedTensor{array: a, data: data})
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
		e.stacks = append(e.stacks, stackedTensor{array: a, data: make([]byte, 4*a.size())})
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

// frozenEncoder runs images through a frozen encoder. Its program is one for all encoders of these sizes.
type frozenEncoder struct {
	network
	device  *Device
	batch   int // images of a pass; a smaller batch is filled up
	program *Exec
}

func newFrozenEncoder(d *Device, c Config, batch int) (*frozenEncoder, error) {
	if batch < 1 || batch > maxBatch {
		return nil, fieldError("Batch", batch, "must lie in 1..%d", maxBatch)
	}
	c.Remat = false // there is no backward pass
	r := &frozenEncoder{network: newNetwork(c, d), device: d, batch: batch}
	program, err := NewExec(d.backend, r.poolGraph)
	if err != nil {
		return nil, fmt.Errorf("making the program features: %w", err)
	}
	r.program = program.WithName("features")
	return r, nil
}

// Compile builds the program ahead of its first use.
func (r *frozenEncoder) Compile() (err error) {
	defer recovered(&err, "compiling the program features")
	inputs := []shapes.Shape{shapes.Make(dtypes.Uint8, r.batch, r.Image, r.Image, 3)}
	if _, err := r.program.Compile(append(inputs, arrayShapes(r.encoderArrays())...)...); err != nil {
		return fmt.Errorf("compiling the program features: %w", err)
	}
	return nil
}

// poolGraph is the program. Inputs: images [B, S, S, 3], the encoder's arrays. Outputs: the mean over the tokens of every
// collected hidden state [B, L, D], and the mean of its squares over tokens and features [B, L].
func (r *frozenEncoder) poolGraph(nodes []*Node) []*Node {
	in := inputs{nodes}
	images := in.one()
	encoder := newParams(r.encoderArrays(), in.take(len(r.encoderArrays())))
	hidden := r.encode(encoder, r.patches(images), nil) // [B, N, D] of every depth
	var means, squares []*Node
	for _, depth := range r.Depths {
		means = append(means, ReduceMean(hidden[depth], 1))
		squares = append(squares, ReduceMean(Square(hidden[depth]), 1, 2))
	}
	return []*Node{Stack(means, 1), Stack(squares, 1)}
}

// imageCount is the number of images in bytes [n, S, S, 3]; it must be one to a batch.
func (r *frozenEncoder) imageCount(images []byte) (int, error) {
	size := r.Image * r.Image * 3
	if n := len(images) / size; len(images)%size == 0 && 1 <= n && n <= r.batch {
		return n, nil
	}
	return 0, fieldError("Images", len(images), "must be the bytes of 1..%d images of %d x %d x 3", r.batch, r.Image, r.Image)
}

// forward runs the program on bytes [n, S, S, 3], filled up with black images, whose features are as finite as the others.
// The results stay on the device: features [B, L, D] and squares [B, L], of which the first n images count.
func (r *frozenEncoder) forward(encoder []*tensors.Tensor, images []byte) (features, squares *tensors.Tensor, err error) {
	defer recovered(&err, "reading features")
	shape := shapes.Make(dtypes.Uint8, r.batch, r.Image, r.Image, 3)
	if missing := int(shape.ByteSize()) - len(images); missing > 0 {
		images = append(images[:len(images):len(images)], make([]byte, missing)...)
	}
	pixels, err := tensors.FromRaw(r.device.backend, 0, shape, images)
	if err != nil {
		return nil, nil, fmt.Errorf("uploading images: %w", err)
	}
	defer func() { err = errors.Join(err, pixels.FinalizeAll()) }()
	arguments := []any{pixels}
	for _, t := range encoder {
		arguments = append(arguments, t)
	}
	defer r.device.addBusy(time.Now())
	outputs, err := r.program.Call(arguments...)
	if err != nil {
		return nil, nil, fmt.Errorf("reading features: %w", err)
	}
	return outputs[0], outputs[1], nil
}

// uploadEncoder copies an encoder to the device, after a look at its sizes.
func (r *frozenEncoder) uploadEncoder(e *Encoder) ([]*tensors.Tensor, error) {
	arrays := r.encoderArrays()
	for i, s := range e.stacks {
		if want, got := fmt.Sprint(arrays[i].shape()), fmt.Sprint(s.shape()); want != got {
			return nil, fmt.Errorf("the encoder's %s is %s instead of %s", s.name, got, want)
		}
	}
	return e.upload(r.device)
}

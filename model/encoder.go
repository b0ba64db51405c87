package model

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/cijepa/cijepa/model/safetensors"
)

// Encoder is an encoder in the host's memory: a teacher at some step, or an untrained one.
type Encoder struct {
	tensors []stackedTensor // in the order of encoderArrays
}

// InitialEncoder is the encoder with which a Learner of this seed begins, as student and teacher.
func InitialEncoder(cfg Config, seed uint64) (*Encoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &Encoder{}
	for i, a := range cfg.encoderArrays() {
		e.tensors = append(e.tensors, stackedTensor{array: a, data: initialValues(a, seed, studentSeed, i)})
	}
	return e, nil
}

// Encoder copies the teacher to the host.
func (l *Learner) Encoder() (e *Encoder, err error) {
	defer recovered(&err, "copying the teacher")
	if l.lost != nil {
		return nil, fmt.Errorf("copying the teacher: the state was lost before: %w", l.lost)
	}
	e = &Encoder{}
	for i, a := range l.encoderArrays() {
		data, err := l.device.download(l.teacher[i])
		if err != nil {
			return nil, fmt.Errorf("copying the teacher: %w", err)
		}
		e.tensors = append(e.tensors, stackedTensor{array: a, data: data})
	}
	return e, nil
}

// Export writes the encoder as safetensors under timm's names, which are the reference's:
// "blocks.0.attn.qkv.weight". The metadata are free, beside "format", which is set.
func (e *Encoder) Export(w io.Writer, metadata map[string]string) error {
	all := maps.Clone(formatMetadata)
	maps.Copy(all, metadata)
	return safetensors.Write(w, e.named(), all)
}

// ReadEncoder reads what Export wrote for an encoder of these sizes. Other arrays are
// safetensors.ErrFormat.
func ReadEncoder(cfg Config, r io.Reader) (*Encoder, error) {
	e, err := blankEncoder(cfg)
	if err != nil {
		return nil, err
	}
	if err := safetensors.Read(r, e.named()); err != nil {
		return nil, fmt.Errorf("reading an encoder: %w", err)
	}
	return e, nil
}

// The parts of a Learner's state that hold an encoder.
const (
	StudentPart = "student.safetensors"
	TeacherPart = "teacher.safetensors"
)

// ReadStatePart reads the encoder out of one of these parts. Other arrays are
// safetensors.ErrFormat.
func ReadStatePart(cfg Config, part string, r io.Reader) (*Encoder, error) {
	e, err := blankEncoder(cfg)
	if err != nil {
		return nil, err
	}
	var all []safetensors.Array
	for _, a := range e.named() {
		a.Name = strings.TrimSuffix(part, "safetensors") + a.Name // "student." + "blocks.0...."
		all = append(all, a)
		if part == StudentPart { // the optimizer's arrays, which are read over
			all = append(all, safetensors.Array{Name: stepCount + a.Name, Dims: []int{1}, Data: make([]byte, 4)})
			for _, moment := range []string{firstMoment, secondMoment} {
				all = append(all, safetensors.Array{Name: moment + a.Name, Dims: a.Dims, Data: make([]byte, len(a.Data))})
			}
		}
	}
	if err := safetensors.Read(r, all); err != nil {
		return nil, fmt.Errorf("reading the encoder of %s: %w", part, err)
	}
	return e, nil
}

// blankEncoder is an encoder of zeros.
func blankEncoder(cfg Config) (*Encoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &Encoder{}
	for _, a := range cfg.encoderArrays() {
		e.tensors = append(e.tensors, stackedTensor{array: a, data: make([]byte, 4*a.size())})
	}
	return e, nil
}

// named are the arrays under the reference's names.
func (e *Encoder) named() (list []safetensors.Array) {
	for _, s := range e.tensors {
		list = append(list, s.named()...)
	}
	return list
}

// upload copies the encoder to a device, in the order of encoderArrays.
func (e *Encoder) upload(d *Device) (list []*tensors.Tensor, err error) {
	for _, s := range e.tensors {
		t, err := d.upload(s.data, s.shape())
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// frozenEncoder runs images through encoders whose parameters are inputs of its one program.
type frozenEncoder struct {
	network
	device  *Device
	batch   int // images of a pass; a smaller batch is padded
	program *Exec
}

func newFrozenEncoder(d *Device, c Config, batch int) (*frozenEncoder, error) {
	if batch < 1 || batch > maxBatch {
		return nil, fieldError("Batch", batch, "must lie in 1..%d", maxBatch)
	}
	c.Remat = false // there is no backward pass
	f := &frozenEncoder{network: newNetwork(c, d), device: d, batch: batch}
	program, err := NewExec(d.backend, f.poolGraph)
	if err != nil {
		return nil, fmt.Errorf("making the program features: %w", err)
	}
	f.program = program.WithName("features")
	return f, nil
}

// Compile builds the program ahead of its first use.
func (f *frozenEncoder) Compile() (err error) {
	defer recovered(&err, "compiling the program features")
	inputs := []shapes.Shape{shapes.Make(dtypes.Uint8, f.batch, f.Image, f.Image, 3)}
	if _, err := f.program.Compile(append(inputs, arrayShapes(f.encoderArrays())...)...); err != nil {
		return fmt.Errorf("compiling the program features: %w", err)
	}
	return nil
}

// poolGraph is the program's graph. Inputs: images [B, S, S, 3], the encoder's arrays. Outputs: the
// mean over the tokens of every collected hidden state [B, L, D], and the mean of its squares over
// tokens and features [B, L].
func (f *frozenEncoder) poolGraph(nodes []*Node) []*Node {
	in := inputs{nodes}
	images := in.one()
	encoder := newParams(f.encoderArrays(), in.take(len(f.encoderArrays())))
	hidden := f.encode(encoder, f.patches(images), nil) // [B, N, D] of every depth
	var means, squares []*Node
	for _, depth := range f.Depths {
		means = append(means, ReduceMean(hidden[depth], 1))
		squares = append(squares, ReduceMean(Square(hidden[depth]), 1, 2))
	}
	return []*Node{Stack(means, 1), Stack(squares, 1)}
}

// imageCount is the number n of images in bytes [n, S, S, 3], which must lie in 1..batch.
func (f *frozenEncoder) imageCount(images []byte) (int, error) {
	size := f.Image * f.Image * 3
	if n := len(images) / size; len(images)%size == 0 && 1 <= n && n <= f.batch {
		return n, nil
	}
	return 0, fieldError("Images", len(images), "must be the bytes of 1..%d images of %d x %d x 3",
		f.batch, f.Image, f.Image)
}

// forward runs the program on bytes [n, S, S, 3], padded with black images. The results stay on the
// device: features [B, L, D] and squares [B, L], of which the first n images count.
func (f *frozenEncoder) forward(encoder []*tensors.Tensor, images []byte) (features, squares *tensors.Tensor, err error) {
	defer recovered(&err, "computing features")
	shape := shapes.Make(dtypes.Uint8, f.batch, f.Image, f.Image, 3)
	if missing := int(shape.ByteSize()) - len(images); missing > 0 {
		images = append(images[:len(images):len(images)], make([]byte, missing)...)
	}
	pixels, err := tensors.FromRaw(f.device.backend, 0, shape, images)
	if err != nil {
		return nil, nil, fmt.Errorf("uploading images: %w", err)
	}
	defer func() { err = errors.Join(err, pixels.FinalizeAll()) }()
	arguments := []any{pixels}
	for _, t := range encoder {
		arguments = append(arguments, t)
	}
	defer f.device.addBusy(time.Now())
	outputs, err := f.program.Call(arguments...)
	if err != nil {
		return nil, nil, fmt.Errorf("computing features: %w", err)
	}
	return outputs[0], outputs[1], nil
}

// uploadEncoder copies an encoder of the same sizes to the device.
func (f *frozenEncoder) uploadEncoder(e *Encoder) ([]*tensors.Tensor, error) {
	arrays := f.encoderArrays()
	for i, s := range e.tensors {
		if want, got := fmt.Sprint(arrays[i].shape()), fmt.Sprint(s.shape()); want != got {
			return nil, fmt.Errorf("the encoder's %s is %s instead of %s", s.name, got, want)
		}
	}
	return e.upload(f.device)
}

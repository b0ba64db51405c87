package model

import (
	"errors"
	"fmt"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// reader runs images through a frozen encoder. Its program is one for all encoders of these sizes.
type reader struct {
	network
	device  *Device
	batch   int // images of a pass; a smaller batch is filled up
	program *Exec
}

func newReader(d *Device, c Config, batch int) (*reader, error) {
	if batch < 1 || batch > maxBatch {
		return nil, fieldError("Batch", batch, "must lie in 1..%d", maxBatch)
	}
	c.Remat = false // there is no backward pass
	r := &reader{network: newNetwork(c, d), device: d, batch: batch}
	program, err := NewExec(d.backend, r.pool)
	if err != nil {
		return nil, fmt.Errorf("making the program features: %w", err)
	}
	r.program = program.WithName("features")
	return r, nil
}

// Compile builds the program ahead of its first use.
func (r *reader) Compile() (err error) {
	defer recovered(&err, "compiling the program features")
	inputs := []shapes.Shape{shapes.Make(dtypes.Uint8, r.batch, r.Image, r.Image, 3)}
	if _, err := r.program.Compile(append(inputs, arrayShapes(r.encoderArrays())...)...); err != nil {
		return fmt.Errorf("compiling the program features: %w", err)
	}
	return nil
}

// pool is the program. Inputs: images [B, S, S, 3], the encoder's arrays. Outputs: the mean over the tokens of every
// collected hidden state [B, L, D], and the mean of its squares over tokens and features [B, L].
func (r *reader) pool(nodes []*Node) []*Node {
	in := inputs{nodes}
	images := in.one()
	encoder := newWeights(r.encoderArrays(), in.take(len(r.encoderArrays())))
	hidden := r.encode(encoder, r.patches(images), nil) // [B, N, D] of every depth
	var means, squares []*Node
	for _, depth := range r.Depths {
		means = append(means, ReduceMean(hidden[depth], 1))
		squares = append(squares, ReduceMean(Square(hidden[depth]), 1, 2))
	}
	return []*Node{Stack(means, 1), Stack(squares, 1)}
}

// count is the number of images in bytes [n, S, S, 3]; it must be one to a batch.
func (r *reader) count(images []byte) (int, error) {
	size := r.Image * r.Image * 3
	if n := len(images) / size; len(images)%size == 0 && 1 <= n && n <= r.batch {
		return n, nil
	}
	return 0, fieldError("Images", len(images), "must be the bytes of 1..%d images of %d x %d x 3", r.batch, r.Image, r.Image)
}

// read runs the program on bytes [n, S, S, 3], filled up with black images, whose features are as finite as the others.
// The results stay on the device: features [B, L, D] and squares [B, L], of which the first n images count.
func (r *reader) read(encoder []*tensors.Tensor, images []byte) (features, squares *tensors.Tensor, err error) {
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
	defer r.device.ran(time.Now())
	outputs, err := r.program.Call(arguments...)
	if err != nil {
		return nil, nil, fmt.Errorf("reading features: %w", err)
	}
	return outputs[0], outputs[1], nil
}

// freeze copies an encoder to the device, after a look at its sizes.
func (r *reader) freeze(e *Encoder) ([]*tensors.Tensor, error) {
	arrays := r.encoderArrays()
	for i, s := range e.stacks {
		if want, got := fmt.Sprint(arrays[i].shape()), fmt.Sprint(s.shape()); want != got {
			return nil, fmt.Errorf("the encoder's %s is %s instead of %s", s.name, got, want)
		}
	}
	return e.upload(r.device)
}

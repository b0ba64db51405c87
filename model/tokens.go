package model

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// TokenReader reads the features of every token of a few images: those that a Probe pools.
type TokenReader struct {
	network
	device  *Device
	images  int
	program *Exec
}

// NewTokenReader makes a reader of so many images at some of the depths of cfg, ascending.
func NewTokenReader(d *Device, cfg Config, depths []int, images int) (r *TokenReader, err error) {
	defer recovered(&err, "making the reader of tokens")
	cfg.Depths, cfg.IntermediateRows = slices.Clone(depths), 0
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if images < 1 || images > maxBatch {
		return nil, fieldError("Images", images, "must lie in 1..%d", maxBatch)
	}
	cfg.Remat = false // there is no backward pass
	r = &TokenReader{network: newNetwork(cfg, d), device: d, images: images}
	program, err := NewExec(d.backend, r.tokensGraph)
	if err != nil {
		return nil, fmt.Errorf("making the program tokens: %w", err)
	}
	r.program = program.WithName("tokens")
	return r, nil
}

// tokensGraph is the program's graph. Inputs: images [B, S, S, 3], the encoder's arrays. Output: the
// hidden states [L, B, N, D].
func (r *TokenReader) tokensGraph(nodes []*Node) []*Node {
	in := inputs{nodes}
	images := in.one()
	encoder := newParams(r.encoderArrays(), in.take(len(r.encoderArrays())))
	hidden := r.encode(encoder, r.patches(images), nil) // [B, N, D] of every depth
	var all []*Node
	for _, depth := range r.Depths {
		all = append(all, hidden[depth])
	}
	return []*Node{Stack(all, 0)}
}

// Tokens are the features of every token of the images, bytes [B, S, S, 3], by the encoder of a
// probe on the same device and of the same sizes: [L, B, N, D].
func (r *TokenReader) Tokens(p *Probe, images []byte) (features []float32, err error) {
	defer recovered(&err, "reading tokens")
	if want := r.images * r.Image * r.Image * 3; len(images) != want {
		return nil, fieldError("Images", len(images), "must be the %d bytes of %d images of %d x %d x 3",
			want, r.images, r.Image, r.Image)
	}
	if p.device != r.device {
		return nil, errors.New("reading tokens: the probe is on another device")
	}
	pixels, err := tensors.FromRaw(r.device.backend, 0, shapes.Make(dtypes.Uint8, r.images, r.Image, r.Image, 3), images)
	if err != nil {
		return nil, fmt.Errorf("reading tokens: uploading images: %w", err)
	}
	defer func() { err = errors.Join(err, pixels.FinalizeAll()) }()
	arguments := []any{pixels}
	for _, t := range p.encoder {
		arguments = append(arguments, t)
	}
	defer r.device.addBusy(time.Now())
	outputs, err := r.program.Call(arguments...)
	if err != nil {
		return nil, fmt.Errorf("reading tokens: %w", err)
	}
	features, err = tensors.CopyFlatData[float32](outputs[0])
	return features, errors.Join(err, outputs[0].FinalizeAll())
}

// Close gives the program back to the device.
func (r *TokenReader) Close() { r.program.Finalize() }

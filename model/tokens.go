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
	of      *frozenEncoder
	program *Exec
}

// NewTokenReader makes a reader of so many images at some of the depths of cfg, ascending.
func NewTokenReader(d *Device, cfg Config, depths []int, images int) (r *TokenReader, err error) {
	defer recovered(&err, "making the reader of tokens")
	cfg.Depths, cfg.IntermediateRows = slices.Clone(depths), 0
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r = &TokenReader{}
	if r.of, err = newFrozenEncoder(d, cfg, images); err != nil {
		return nil, err
	}
	program, err := NewExec(d.backend, r.graph)
	if err != nil {
		return nil, fmt.Errorf("making the program tokens: %w", err)
	}
	r.program = program.WithName("tokens")
	return r, nil
}

// graph is the program's graph. Inputs: images [B, S, S, 3], the encoder's arrays. Output: the
// hidden states [L, B, N, D].
func (r *TokenReader) graph(nodes []*Node) []*Node {
	in := inputs{nodes}
	images := in.one()
	arrays := r.of.encoderArrays()
	hidden := r.of.encode(newParams(arrays, in.take(len(arrays))), r.of.patches(images), nil) // [B, N, D] of every depth
	var all []*Node
	for _, depth := range r.of.Depths {
		all = append(all, hidden[depth])
	}
	return []*Node{Stack(all, 0)}
}

// Tokens are the features of every token of the images, bytes [B, S, S, 3], by an encoder of the
// sizes of cfg: [L, B, N, D].
func (r *TokenReader) Tokens(e *Encoder, images []byte) (features []float32, err error) {
	defer recovered(&err, "reading tokens")
	f := r.of
	if n, err := f.imageCount(images); err != nil || n != f.batch {
		return nil, fieldError("Images", len(images), "must be the bytes of %d images of %d x %d x 3", f.batch, f.Image, f.Image)
	}
	encoder, err := f.uploadEncoder(e)
	if err != nil {
		return nil, fmt.Errorf("reading tokens: %w", err)
	}
	pixels, err := tensors.FromRaw(f.device.backend, 0, shapes.Make(dtypes.Uint8, f.batch, f.Image, f.Image, 3), images)
	if err != nil {
		return nil, fmt.Errorf("reading tokens: uploading images: %w", err)
	}
	arguments := []any{pixels}
	for _, t := range encoder {
		arguments = append(arguments, t)
	}
	defer func() {
		for _, t := range append(encoder, pixels) {
			err = errors.Join(err, t.FinalizeAll())
		}
	}()
	defer f.device.addBusy(time.Now())
	outputs, err := r.program.Call(arguments...)
	if err != nil {
		return nil, fmt.Errorf("reading tokens: %w", err)
	}
	features, err = tensors.CopyFlatData[float32](outputs[0])
	return features, errors.Join(err, outputs[0].FinalizeAll())
}

// Close gives the program back to the device.
func (r *TokenReader) Close() { r.program.Finalize() }

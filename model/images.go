package model

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
)

// Images are the images of a step on the device, cut into micro-batches.
type Images struct {
	parts  []*tensors.Tensor // [micro, S, S, 3] each
	floats bool              // already normalised, as test vectors are; else bytes
}

// Upload copies the images of a step to the device: bytes [B, S, S, 3]. It may run beside a Step.
func (l *Learner) Upload(images []byte) (out *Images, err error) {
	defer recovered(&err, "uploading images")
	return l.device.uploadImages(l.Config, images, dtypes.Uint8)
}

func (d *Device) uploadImages(c Config, images []byte, of dtypes.DType) (*Images, error) {
	shape := shapes.Make(of, c.micro(), c.Image, c.Image, 3)
	size := int(shape.ByteSize())
	if want := c.passes() * size; len(images) != want {
		return nil, fmt.Errorf("uploading images: %w", fieldError("Images", len(images),
			"must be %d bytes: %d images of %d x %d x 3", want, c.Batch, c.Image, c.Image))
	}
	out := &Images{floats: of != dtypes.Uint8}
	for part := range slices.Chunk(images, size) {
		t, err := tensors.FromRaw(d.backend, 0, shape, part)
		if err != nil {
			return nil, fmt.Errorf("uploading images: %w", errors.Join(err, out.Free()))
		}
		out.parts = append(out.parts, t)
	}
	return out, nil
}

// Free gives the device's memory back without a step; a step does it itself. Further calls do nothing.
func (i *Images) Free() error {
	var errs []error
	for _, part := range i.parts {
		errs = append(errs, part.FinalizeAll())
	}
	i.parts = nil
	return errors.Join(errs...)
}

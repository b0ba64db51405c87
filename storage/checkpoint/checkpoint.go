package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cijepa/cijepa/storage"
)

// Part is one object of a checkpoint, such as student.safetensors.
type Part struct {
	Name string
	Size int64 // bytes that Write produces
	// Write produces the bytes, the same ones each time. It is called again when an upload has to be tried again, and from another goroutine.
	Write func(io.Writer) error
}

// Position says where a run stands. Sequence is the number of the checkpoint's manifest, 0 when there is none.
type Position struct {
	Phase    string
	Step     int64
	Sequence int64
}

// Checkpoint is a committed checkpoint that is being loaded. It is valid while the load function of [Run.Restore] runs.
type Checkpoint struct {
	Position

	ctx     context.Context
	bucket  *storage.Bucket
	folder  string // with the run's root
	objects []storage.Object
}

// Open reads a part. Damage shows as [ErrCorrupt], at the latest where io.EOF would have stood: an io.ReadAll that succeeds has read what was
// written. A part that the checkpoint never had is [ErrNotFound].
func (c Checkpoint) Open(part string) (io.ReadCloser, error) {
	for _, o := range c.objects {
		if o.Key != part {
			continue
		}
		o.Key = c.folder + "/" + part
		r, err := c.bucket.Read(c.ctx, o)
		if errors.Is(err, storage.ErrNotFound) {
			return nil, fmt.Errorf("reading %s: %w: its manifest names it, but it is gone: %v", o.Key, storage.ErrCorrupt, err)
		}
		return r, err
	}
	return nil, fmt.Errorf("checkpoint %d has no part %s: %w", c.Sequence, part, storage.ErrNotFound)
}

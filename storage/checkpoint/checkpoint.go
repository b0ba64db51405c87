package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cijepa/cijepa/storage"
)

// Part is one object of a checkpoint to commit, such as student.safetensors.
type Part struct {
	Name string
	Size int64 // bytes that Write produces
	// Write produces the bytes, the same ones each time. It is called from another goroutine, once
	// for each attempt at the upload.
	Write func(io.Writer) error
}

// Position says where a run stands: after a step of a phase. Sequence is the number of the
// checkpoint's manifest, 0 if there is none.
type Position struct {
	Phase    string
	Step     int64
	Sequence int64
}

// Checkpoint is a committed checkpoint that is being loaded. It is valid until the load function of
// [Run.Restore] returns.
type Checkpoint struct {
	Position

	ctx     context.Context
	bucket  *storage.Bucket
	folder  string // with the run's root
	objects []storage.Object
}

// Open reads a part. If the part is damaged, Open or the reader fails with [storage.ErrCorrupt], at
// the latest in place of io.EOF: an io.ReadAll that succeeds has read what was written. A part that
// the checkpoint never had is [storage.ErrNotFound].
func (c Checkpoint) Open(part string) (io.ReadCloser, error) {
	for _, o := range c.objects {
		if o.Key != part {
			continue
		}
		o.Key = c.folder + "/" + part
		r, err := c.bucket.Read(c.ctx, o)
		if errors.Is(err, storage.ErrNotFound) {
			return nil, fmt.Errorf("reading %s: %w: its manifest names it, but it is gone: %v",
				o.Key, storage.ErrCorrupt, err)
		}
		return r, err
	}
	return nil, fmt.Errorf("checkpoint %d has no part %s: %w", c.Sequence, part, storage.ErrNotFound)
}

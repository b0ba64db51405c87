package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cijepa/cijepa/storage"
)

// Restore loads the newest whole checkpoint, by calling load. If the run has no manifest it returns
// the zero Position without calling load: the run starts from nothing. load must leave its state
// unchanged when it fails.
//
// If load fails with an error that wraps [storage.ErrCorrupt], as the readers of [Checkpoint.Open]
// do on damage, the same checkpoint is tried once more, because bits also flip in transfer, and
// then the next older one. If none can be loaded Restore fails with ErrCorrupt and never starts
// from nothing. Every other error of load ends the restore and is returned as it is.
func (r *Run) Restore(ctx context.Context, load func(Checkpoint) error) (Position, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		sequences, err := r.sequences(ctx)
		if err != nil {
			return Position{}, err
		}
		c, position, err := r.restore(ctx, sequences, load)
		if err == nil && c.fallbacks == 0 {
			r.setChain(c)
			return position, nil
		}
		if err != nil && !errors.Is(err, storage.ErrCorrupt) {
			return Position{}, err
		}
		// Something was damaged or missing. If another attempt has committed meanwhile, it may have
		// deleted the checkpoint as no longer retained, and nothing is damaged.
		if now, nerr := r.newestSequence(ctx); nerr != nil {
			return Position{}, nerr
		} else if len(sequences) > 0 && now > sequences[0] || len(sequences) == 0 && now > 0 {
			r.log.Warn("another attempt committed during the restore, starting over", "sequence", now)
			continue
		}
		if err != nil {
			return Position{}, err
		}
		r.setChain(c)
		return position, nil
	}
}

// setChain sets the chain that the attempt's commits extend.
func (r *Run) setChain(c *chain) {
	r.chain = c
	r.newestSequenceKnown.Store(c.sequence)
}

// restore loads the newest checkpoint that can be loaded, given the sequence numbers, the highest
// first.
func (r *Run) restore(ctx context.Context, sequences []int64, load func(Checkpoint) error) (*chain, Position, error) {
	if len(sequences) == 0 {
		return &chain{}, Position{}, r.warnOfOrphans(ctx)
	}
	c := &chain{sequence: sequences[0]}
	if err := r.readChain(ctx, c, sequences); err != nil {
		return nil, Position{}, err
	}
	for _, candidate := range slices.Backward(slices.Clone(c.retained)) {
		m, err := r.loadCheckpoint(ctx, candidate, load)
		if err == nil {
			return c, Position{Phase: m.Phase, Step: m.Step, Sequence: m.Sequence}, nil
		}
		if !errors.Is(err, storage.ErrCorrupt) {
			return nil, Position{}, err
		}
		c.fallBack(candidate)
		r.log.Error("checkpoint is damaged, falling back to the one before; its objects are kept as evidence",
			"sequence", candidate.Sequence, "folder", r.root+candidate.Folder, "error", err)
	}
	return nil, Position{}, fmt.Errorf("restoring %s: %w: there are %d manifests but no checkpoint can be loaded; "+
		"restore the bucket's objects or start a run under another name", r.root, storage.ErrCorrupt, len(sequences))
}

// warnOfOrphans warns of parts of checkpoints if there is no manifest. An attempt that was killed
// during its first upload leaves such parts. So does somebody who deletes the manifests: then the
// objects that they named are deleted a day after the next commit.
func (r *Run) warnOfOrphans(ctx context.Context) error {
	entries, err := r.bucket.ListEntries(ctx, r.root+"state/")
	if err == nil && len(entries) > 0 {
		r.log.Warn("there is no checkpoint, but parts of some: "+
			"if manifests were deleted, stop this run and put them back; "+
			"if an earlier attempt was killed during its first upload, all is well",
			"manifests", r.root+"manifest/", "objects", len(entries), "first", entries[0].Key)
	}
	return err
}

// readChain fills c from the newest readable manifest. Unreadable manifests after it count as
// damaged checkpoints.
func (r *Run) readChain(ctx context.Context, c *chain, sequences []int64) error {
	var unreadable []retained
	for _, sequence := range sequences {
		m, sum, err := r.readManifest(ctx, sequence)
		if err != nil && !errors.Is(err, storage.ErrCorrupt) {
			return err
		}
		if sequence == c.sequence {
			c.checksum = sum
		}
		if err != nil {
			r.log.Error("manifest is damaged, falling back to the one before", "sequence", sequence, "error", err)
			unreadable = append(unreadable, retained{Sequence: sequence, SHA256: sum})
			continue
		}
		top, topSum := c.sequence, c.checksum
		c.extend(m, sum)
		c.sequence, c.checksum = top, topSum
		c.damaged = append(c.damaged, unreadable...)
		c.fallbacks = len(unreadable)
		return nil
	}
	return fmt.Errorf("restoring %s: %w: none of its %d manifests can be read", r.root, storage.ErrCorrupt, len(sequences))
}

// fallBack moves a checkpoint from the retained to the damaged ones and counts it.
func (c *chain) fallBack(damaged retained) {
	c.retained = slices.DeleteFunc(c.retained, func(x retained) bool { return x.Sequence == damaged.Sequence })
	c.damaged = append(c.damaged, damaged)
	c.fallbacks++
}

// loadCheckpoint calls load with one checkpoint, and a second time if the first finds damage.
func (r *Run) loadCheckpoint(ctx context.Context, candidate retained, load func(Checkpoint) error) (*manifest, error) {
	m, sum, err := r.readManifest(ctx, candidate.Sequence)
	if err != nil {
		return nil, err
	}
	if sum != candidate.SHA256 {
		return nil, fmt.Errorf("reading %s: %w: sha256 %s, expected %s",
			r.manifestKey(candidate.Sequence), storage.ErrCorrupt, sum, candidate.SHA256)
	}
	checkpoint := Checkpoint{
		Position: Position{Phase: m.Phase, Step: m.Step, Sequence: m.Sequence},
		ctx:      ctx,
		bucket:   r.bucket,
		folder:   r.root + m.Folder,
		objects:  m.Objects,
	}
	if err = load(checkpoint); errors.Is(err, storage.ErrCorrupt) {
		r.log.Warn("checkpoint did not load, reading it once more", "sequence", m.Sequence, "error", err)
		err = load(checkpoint)
	}
	return m, err
}

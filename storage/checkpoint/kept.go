package checkpoint

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/storage"
)

// LoadAt calls load with the checkpoint of a phase and a step, for a reader that goes on with
// nothing: the run is left as it is. A checkpoint that the newest manifest does not retain is
// [storage.ErrNotFound], with a list of those that it does. load may be called twice: see
// [Run.Restore].
func (r *Run) LoadAt(ctx context.Context, phase string, step int64, load func(Checkpoint) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	sequences, err := r.sequences(ctx)
	if err != nil {
		return err
	}
	c := &chain{}
	if len(sequences) > 0 {
		c.sequence = sequences[0]
		if err := r.readChain(ctx, c, sequences); err != nil {
			return err
		}
	}
	var kept []string
	for _, candidate := range slices.Backward(c.retained) {
		m, _, err := r.readManifest(ctx, candidate.Sequence)
		if err != nil {
			return err
		}
		if m.Phase == phase && m.Step == step {
			_, err := r.loadCheckpoint(ctx, candidate, load)
			return err
		}
		kept = append(kept, fmt.Sprintf("%s %d", m.Phase, m.Step))
	}
	slices.Reverse(kept)
	return fmt.Errorf("%s: %w: there is no checkpoint of %s %d; kept are: %s",
		r.root, storage.ErrNotFound, phase, step, strings.Join(kept, ", "))
}

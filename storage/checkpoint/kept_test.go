package checkpoint

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestAnyKeptCheckpointLoads for a reader, and it says which there are; the run goes on as if
// nobody had read.
func TestAnyKeptCheckpointLoads(t *testing.T) {
	storagetest.EachKind(t, func(t *testing.T, b *storage.Bucket) {
		writer, _ := mustRestore(t, b, "pod-a")
		for step := int64(1); step <= 9; step++ {
			mustCommit(t, writer, step, step%4 == 0)
		}
		reader := OpenRun(b, "test", "reader", nil)
		for _, step := range []int64{4, 7, 9} {
			err := reader.LoadAt(t.Context(), "pretrain", step, func(c Checkpoint) error {
				if c.Phase != "pretrain" || c.Step != step {
					t.Errorf("asked for step %d, got %+v", step, c.Position)
				}
				r, err := c.Open(testParts(step)[0].Name)
				if err != nil {
					return err
				}
				defer r.Close()
				_, err = io.Copy(io.Discard, r)
				return err
			})
			if err != nil {
				t.Errorf("step %d: %v", step, err)
			}
		}
		never := func(Checkpoint) error { t.Error("loaded what is not there"); return nil }
		if err := reader.LoadAt(t.Context(), "pretrain", 5, never); !errors.Is(err, storage.ErrNotFound) ||
			!strings.Contains(err.Error(), "kept are: pretrain 4, pretrain 7, pretrain 8, pretrain 9") {
			t.Errorf("step 5: %v", err)
		}
		mustCommit(t, writer, 10, false)
	})
}

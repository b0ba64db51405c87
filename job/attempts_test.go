package job

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// TestAttemptsMade: five attempts. The first was killed at 70 with metrics up to 60 and restored at 40; the second was
// stopped at 90 with 90 saved; the third was stopped at 120 and restored at 100; the fourth ended pretraining and was
// killed at 12 of the probe, which went on from 7.
func TestAttemptsMade(t *testing.T) {
	bucket := storage.New(memblob.OpenBucket(nil), storage.Options{})
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	put := func(key string, lines ...any) {
		var text strings.Builder
		for _, l := range lines {
			b, err := json.Marshal(l)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(append(b, '\n'))
		}
		if _, err := bucket.Put(t.Context(), "m/"+key, int64(text.Len()), func(w io.Writer) error {
			_, err := io.WriteString(w, text.String())
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	attempt := func(name string, n, after int, phase string, from, step int64) {
		put(fmt.Sprintf("attempt-%s-%06d.jsonl", name, n), record.Attempt{Time: begin.Add(time.Duration(after) * time.Minute), Phase: phase, From: from, Step: step})
	}
	attempt("z-1", 1, 0, pretraining, 0, 0)
	put("steps-z-1-000001.jsonl", record.Step{Phase: pretraining, Step: 20})
	put("steps-z-1-000002.jsonl", record.Step{Phase: pretraining, Step: 40}, record.Step{Phase: pretraining, Step: 60})
	attempt("y-2", 1, 1, pretraining, 40, 40)
	attempt("y-2", 2, 2, pretraining, 40, 90)
	attempt("x-3", 1, 3, pretraining, 90, 90)
	attempt("x-3", 2, 4, pretraining, 90, 120)
	put("steps-x-3-000001.jsonl", record.Step{Phase: pretraining, Step: 100})
	attempt("w-4", 1, 5, pretraining, 100, 100)
	put("steps-w-4-000001.jsonl", record.Step{Phase: pretraining, Step: 200})
	put("steps-w-4-000002.jsonl", record.Step{Phase: probing, Step: 12})
	attempt("v-5", 1, 6, probing, 7, 7)
	put("attempt-u-6-000001.jsonl") // empty: damaged
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	attempts, lost, err := attemptsMade(t.Context(), bucket, "m/", log)
	if err != nil {
		t.Fatal(err)
	}
	if attempts != 5 || lost != 20+0+20+5 {
		t.Errorf("%d attempts and %d lost updates, want 5 and 45", attempts, lost)
	}
	if attempts, lost, err := attemptsMade(t.Context(), bucket, "nothing/", log); attempts != 0 || lost != 0 || err != nil {
		t.Errorf("of nothing: %d, %d, %v", attempts, lost, err)
	}
}

package bench

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/mask"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestStepsEndAtTheLimit, but not before the first one.
func TestStepsEndAtTheLimit(t *testing.T) {
	cfg, _ := smallBench()
	device, err := machine.OpenDevice(cfg, nil, storagetest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	learner, err := model.NewLearner(device, cfg.Model(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer learner.Close()
	trial := Trial{Model: cfg.Model(), Shape: mask.Shape{Target: 7, Context: 13}, LR: 1e-4, EMAMomentum: 1, Steps: 5}
	for _, c := range []struct {
		limit          time.Duration
		taken, counted int
	}{{0, 6, 5}, {time.Hour, 6, 5}, {1, 1, 0}} {
		trial.Limit = c.limit
		times, err := TimeSteps(t.Context(), learner, trial)
		if err != nil {
			t.Fatal(err)
		}
		if times.Taken != c.taken || len(times.Counted) != c.counted || len(times.Gaps) != c.taken-1 || times.Typical() <= 0 {
			t.Errorf("limit %s: %+v", c.limit, times)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	errStop := errors.New("stop")
	cancel(errStop)
	if _, err := TimeSteps(ctx, learner, trial); !errors.Is(err, errStop) {
		t.Errorf("stopped: %v", err)
	}
}

// TestScatteredMasksAreMasks: ascending cells of the grid, none of them twice.
func TestScatteredMasksAreMasks(t *testing.T) {
	cfg, _ := smallBench()
	m := scatterMasks(cfg.Model(), mask.Shape{Target: 7, Context: 13}, 3)
	if m.B != cfg.Batch || len(m.Context) != m.B*13 || len(m.Targets) != m.B*m.M*7 {
		t.Fatalf("%d masks with %d and %d cells", m.B, len(m.Context), len(m.Targets))
	}
	check := func(cells []int32, n int) {
		for row := range slices.Chunk(cells, n) {
			for i, cell := range row {
				if cell < 0 || cell >= 49 || i > 0 && row[i-1] >= cell {
					t.Errorf("cells %v", row)
				}
			}
		}
	}
	check(m.Context, 13)
	check(m.Targets, 7)
}

package job

import (
	"slices"
	"testing"

	"github.com/cijepa/cijepa/job/settings"
)

// TestMicroBatches: the whole batch first, then its divisors.
func TestMicroBatches(t *testing.T) {
	if got, want := machine.microBatches(12), []int{0, 6, 4, 3, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := machine.microBatches(1); !slices.Equal(got, []int{0}) {
		t.Errorf("of one image: %v", got)
	}
}

// TestMicroBatchIsTheRuns: where none is set, the one that the run was begun with is no difference.
func TestMicroBatchIsTheRuns(t *testing.T) {
	for _, c := range []struct {
		mine, theirs int
		same         bool
	}{{0, 0, true}, {0, 8, true}, {8, 8, true}, {4, 8, false}, {8, 0, false}} {
		err := settings.Conflicts(settings.RunRecord{Recipe: settings.Recipe{MicroBatch: c.mine}}, settings.RunRecord{Recipe: settings.Recipe{MicroBatch: c.theirs}}, "run.json")
		if (err == nil) != c.same {
			t.Errorf("%d asked for, %d begun: %v", c.mine, c.theirs, err)
		}
	}
}

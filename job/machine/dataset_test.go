package machine

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage/shards"
)

// TestDataOfARunIsCheckedByItsLabels: with labels both splits and the probe's batch matter, without
// them the batch and that nothing is asked of the probe.
func TestDataOfARunIsCheckedByItsLabels(t *testing.T) {
	labelled := shards.Index{Classes: []string{"a", "b"}, Counts: map[string]int{TrainSplit: 600, ValidationSplit: 10}}
	plain := shards.Index{Counts: map[string]int{TrainSplit: 600}}
	few := shards.Index{Counts: map[string]int{TrainSplit: 100}}
	for _, c := range []struct {
		name   string
		index  shards.Index
		adjust func(*settings.Config)
		want   []string // variables
	}{
		{"labels", labelled, func(c *settings.Config) { c.ProbeShare, c.KNNBank, c.ProbeEpochs = 0.1, 50, 3 }, nil},
		{"labels, the probe's batch", labelled, func(c *settings.Config) { c.ProbeBatch = 601 }, []string{"CIJEPA_PROBE_BATCH"}},
		{"no labels", plain, func(*settings.Config) {}, nil},
		{"no labels, few images", few, func(*settings.Config) {}, []string{"CIJEPA_BATCH"}},
		{"no labels, no kNN", plain, func(c *settings.Config) { c.KNNK, c.EvalEvery = 0, 1 }, nil},
		{
			"no labels, but a probe", plain, func(c *settings.Config) { c.ProbeShare, c.KNNBank, c.ProbeEpochs = 0.1, 50, 3 },
			[]string{"CIJEPA_PROBE_EPOCHS", "CIJEPA_PROBE_SHARE", "CIJEPA_KNN_BANK"},
		},
		{"no images", shards.Index{}, func(*settings.Config) {}, []string{"CIJEPA_DATA", "CIJEPA_DATA"}},
		{"no images to train on", shards.Index{Counts: map[string]int{ValidationSplit: 9}}, func(*settings.Config) {}, []string{"CIJEPA_DATA"}},
	} {
		cfg := settings.Defaults()
		c.adjust(&cfg)
		var got []string
		if faults := (*settings.Error)(nil); errors.As(CheckDataset(cfg, c.index), &faults) {
			for _, f := range faults.Faults {
				got = append(got, f.Variable)
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

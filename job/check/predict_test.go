package check

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage/shards"
)

// TestPreemptionCostIsReported by the size of the state, the rate of the upload and the time of an
// update.
func TestPreemptionCostIsReported(t *testing.T) {
	for _, c := range []struct {
		rate, update float64
		says         string
	}{
		{1e9, 0.2, "fits CIJEPA_STOP_GRACE=15s after the update in flight (0.2 s)"},
		{1e8, 0.2, "does not fit CIJEPA_STOP_GRACE=15s"},
		{1e6, 0.2, "longer than CIJEPA_SAVE_EVERY=5m0s"},
		{1e9, 60, "the update in flight takes 60.0 s before that"},
		{1e9, 0, "SIGTERM costs no update"},
	} {
		var out bytes.Buffer
		k := &check{cfg: settings.Defaults(), out: &out, rate: c.rate, update: c.update}
		if k.reportPreemption(t.Context()); !strings.Contains(out.String(), c.says) {
			t.Errorf("no %q in\n%s", c.says, &out)
		}
	}
}

// TestHoursOnAnH100AreAModels: 3.4 to 4.1 h for 200 epochs, unless a card was measured.
func TestHoursOnAnH100AreAModels(t *testing.T) {
	hours := func(change func(*check)) string {
		var out bytes.Buffer
		k := &check{cfg: settings.Defaults(), out: &out, data: &shards.Dataset{Index: shards.Index{
			Counts: map[string]int{machine.TrainSplit: 126_689, machine.ValidationSplit: 5000},
		}}}
		change(k)
		k.reportTime(t.Context())
		return out.String()
	}
	const modelled, says = "by a model that no card has confirmed", "pretraining 3.4 h to 4.1 h on an H100"
	for name, change := range map[string]func(*check){
		"no step was timed":       func(*check) {},
		"a step was timed":        func(k *check) { k.update = 60 },
		"the card is not at hand": func(k *check) { k.cfg.Backend = "xla:/xla_cuda_plugin.so" },
	} {
		if got := hours(change); !strings.Contains(got, says) || !strings.Contains(got, modelled) {
			t.Errorf("%s: no %q in\n%s", name, says, got)
		}
	}
	for name, change := range map[string]func(*check){
		"a card was measured":   func(k *check) { k.cfg.Backend, k.update = "xla:/xla_cuda_plugin.so", 0.2 },
		"another network":       func(k *check) { k.cfg.Width = 384 },
		"float32":               func(k *check) { k.cfg.Precision = "float32" },
		"nothing is left to do": func(k *check) { k.at.Phase = record.Probing },
	} {
		if got := hours(change); strings.Contains(got, modelled) {
			t.Errorf("%s: it says\n%s", name, got)
		}
	}
}

// TestHoursOfUnlabelledDataHaveNoProbe.
func TestHoursOfUnlabelledDataHaveNoProbe(t *testing.T) {
	for classes, says := range map[string]string{"": "updates and no probe", "a b": "the probes about"} {
		var out bytes.Buffer
		k := &check{cfg: settings.Defaults(), out: &out, update: 1, data: &shards.Dataset{Index: shards.Index{
			Classes: strings.Fields(classes), Counts: map[string]int{machine.TrainSplit: 126_689},
		}}}
		if k.reportTime(t.Context()); !strings.Contains(out.String(), says) {
			t.Errorf("no %q in\n%s", says, &out)
		}
	}
}

// TestEndlessRunsAreFaults: beyond 1,000 hours there is one fault that names a setting.
func TestEndlessRunsAreFaults(t *testing.T) {
	for _, c := range []struct {
		backend string
		update  float64
		slow    bool
		says    string
		faults  int
	}{
		{"go:parallelism=64", 80, false, "fault    time       CIJEPA_BACKEND=go:parallelism=64: pretraining 1098 h (46 days) for 49400 updates", 1},
		{"go:parallelism=64", 80, true, "warning  time       pretraining 1098 h (46 days)", 0}, // the device's fault has been told
		{"xla:/p.so", 80, false, "fault    time       CIJEPA_EPOCHS=200: pretraining 1098 h (46 days)", 1},
		{"xla:/p.so", 40, false, "ok       time       pretraining 548.9 h", 0},
	} {
		cfg := settings.Defaults()
		cfg.Backend = c.backend
		var out bytes.Buffer
		k := &check{cfg: cfg, out: &out, update: c.update, slow: c.slow, data: &shards.Dataset{Index: shards.Index{
			Counts: map[string]int{machine.TrainSplit: 126_689, machine.ValidationSplit: 5000},
		}}}
		if k.reportTime(t.Context()); !strings.Contains(out.String(), c.says) || len(k.faults.Faults) != c.faults {
			t.Errorf("%+v: it says\n%s", c, &out)
		}
	}
}

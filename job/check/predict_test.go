package check

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/settings"
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

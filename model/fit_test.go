//go:build cgo

package model

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gomlx/go-xla/pjrt"
)

// A step that does not fit is found before a run begins, by the compiler's plan or by trying it,
// and nothing of it stays on the device.
func TestTryFindsWhatDoesNotFit(t *testing.T) {
	path, _ := buildPlugin(t)
	d := openPlugin(t, path, DeviceOptions{})
	c := tiny()
	s := tinyLengths[0]
	before := pjrt.BuffersAlive()
	if _, err := Try(d, c, s); err != nil || len(d.Compiled()) != 0 {
		t.Errorf("on a device that does not tell its memory: %v, and compiled %d programs", err, len(d.Compiled()))
	}
	for _, micro := range []int{0, 1} {
		c.MicroBatch = micro
		need := c.Need(s, true)
		exact := need.State + need.Copy + need.Sums + need.Images + need.Results // and summary, verdict
		for _, k := range []struct {
			limit, left int64
			fits        bool
		}{{exact + 1000, 0, true}, {exact - 1000, 0, false}, {exact + 1000, 1000, false}} {
			t.Setenv("PLUGIN_MEMORY", fmt.Sprint(k.limit))
			t.Setenv("PLUGIN_MEMORY_LEFT", fmt.Sprint(k.left))
			_, err := Try(d, c, s)
			var memory *MemoryError
			switch {
			case k.fits && err != nil:
				t.Errorf("micro-batches of %d in %d bytes: %v", micro, k.limit, err)
			case !k.fits && (!errors.As(err, &memory) || memory.Limit != k.limit || memory.Need < exact || (k.left > 0) != strings.Contains(err.Error(), "Out of memory")):
				t.Errorf("micro-batches of %d in %d bytes, %d left: %v", micro, k.limit, k.left, err)
			}
		}
	}
	if after := pjrt.BuffersAlive(); after != before {
		t.Errorf("%d buffers before, %d after", before, after)
	}
}

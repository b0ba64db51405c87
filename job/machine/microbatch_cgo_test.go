//go:build cgo

package machine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	_ "github.com/gomlx/go-xla/compute/xla"

	"github.com/cijepa/cijepa/job/machine/machinetest"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestRunTakesTheLargestMicroBatchThatFits, and keeps it. What cannot fit ends the run before its
// first update, with the setting to change.
func TestRunTakesTheLargestMicroBatchThatFits(t *testing.T) {
	device, err := model.DeviceOptions{}.Open("xla:" + machinetest.BuildPlugin(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(device.Close)
	cfg := settings.Defaults()
	cfg.Backend, cfg.Batch = "xla:/cuda", 8
	cfg.Image, cfg.Patch, cfg.Width, cfg.Depth, cfg.Heads = 28, 4, 16, 1, 4
	cfg.PredictorWidth, cfg.PredictorDepth, cfg.PredictorHeads = 32, 1, 2
	cfg.Depths, cfg.IntermediateRows, cfg.Precision = settings.DepthSet{0}, 0, "float32"
	const temporary = 1 << 20        // of the plugin's plan, for an image of a pass
	needs := func(micro int) int64 { // the plan of the plugin, and some room
		c := cfg
		c.MicroBatch = micro
		shapes, err := LargestFirst(c)
		if err != nil {
			t.Fatal(err)
		}
		need := c.Model().Need(shapes[0], c.FusedAttention())
		return need.Total() - need.Gradients - need.Activations + temporary*int64(c.ImagesPerPass()) + 1000
	}
	var wrong *settings.Error
	var failed *DeviceError
	for _, c := range []struct {
		name         string
		memory, left int64
		micro        int
		begun        *settings.Recipe
		want         int
		err          any
		says         string
	}{
		{"no memory is reported", 0, 0, 0, nil, 0, nil, ""},
		{"the whole batch fits", 1 << 40, 0, 0, nil, 0, nil, ""},
		{"the whole batch does not fit", needs(0) - 5000, 0, 0, nil, 4, nil, ""},
		{"half fits, without room to spare", needs(4), 0, 0, nil, 2, nil, ""},
		{"half fits, with room to spare", needs(4) + 4*temporary, 0, 0, nil, 4, nil, ""},
		{"one image fits, without room to spare", needs(1), 0, 0, nil, 1, nil, ""},
		{"set", 1 << 40, 0, 4, nil, 4, nil, ""},
		{"set, without room to spare", needs(4), 0, 4, nil, 4, nil, ""},
		{"recorded", 1 << 40, 0, 0, &settings.Recipe{MicroBatch: 2}, 2, nil, ""},
		{"the whole batch is recorded", 1 << 40, 0, 0, &settings.Recipe{}, 0, nil, ""},
		{"set too large", needs(4) / 2, 0, 4, nil, 0, &wrong, "CIJEPA_MICRO_BATCH=4"},
		{"recorded on another card", needs(4) / 2, 0, 0, &settings.Recipe{MicroBatch: 4}, 0, &failed, "begun with passes of 4"},
		{"nothing fits", needs(1) / 2, 0, 0, nil, 0, &wrong, "CIJEPA_REMAT=false: not even one image"},
		{"others use the card", 1 << 40, 1000, 4, nil, 0, &failed, "free the device, set CIJEPA_MICRO_BATCH below 4"},
		{"others use all of it", 1 << 40, 1000, 0, nil, 0, &failed, "not even one image at a time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("PLUGIN_MEMORY", fmt.Sprint(c.memory))
			t.Setenv("PLUGIN_MEMORY_LEFT", fmt.Sprint(c.left))
			t.Setenv("PLUGIN_TEMPORARY", fmt.Sprint(temporary))
			cfg := cfg
			cfg.MicroBatch = c.micro
			got, err := ChooseMicroBatch(t.Context(), device, cfg, c.begun, c.begun == nil, storagetest.Log(t))
			if c.err == nil {
				if err != nil || got.MicroBatch != c.want {
					t.Errorf("micro-batches of %d, want %d: %v", got.MicroBatch, c.want, err)
				}
			} else if !errors.As(err, c.err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
}

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

// temporary is the temporary memory in bytes that the plugin plans for each image of a pass.
const temporary = 1 << 20

// smallNetwork are the settings of a small network on a device that poses as CUDA.
func smallNetwork() settings.Config {
	cfg := settings.Defaults()
	cfg.Backend, cfg.Batch = "xla:/cuda", 8
	cfg.Image, cfg.Patch, cfg.Width, cfg.Depth, cfg.Heads = 28, 4, 16, 1, 4
	cfg.PredictorWidth, cfg.PredictorDepth, cfg.PredictorHeads = 32, 1, 2
	cfg.Depths, cfg.IntermediateRows, cfg.Precision = settings.DepthSet{0}, 0, "float32"
	return cfg
}

// planned is what the plugin plans for the largest step, and 1000 bytes more.
func planned(t *testing.T, cfg settings.Config, micro int) int64 {
	t.Helper()
	cfg.MicroBatch = micro
	need := largestNeed(t, cfg)
	return need.Total() - need.Gradients - need.Activations - need.Workspace + temporary*int64(cfg.ImagesPerPass()) + 1000
}

func largestNeed(t *testing.T, cfg settings.Config) model.Need {
	t.Helper()
	shapes, err := LargestFirst(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Model().Need(shapes[0], cfg.FusedAttention())
}

// TestMicroBatchLeavesRoomForTheWorkspaceOfCuDNN, which the plugin's plan leaves out.
func TestMicroBatchLeavesRoomForTheWorkspaceOfCuDNN(t *testing.T) {
	device, err := model.DeviceOptions{}.Open("xla:" + machinetest.BuildPlugin(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(device.Close)
	cfg := smallNetwork()
	cfg.Precision, cfg.Heads = "bfloat16", 2
	workspace := largestNeed(t, cfg).Workspace
	if workspace < 10_000 {
		t.Fatalf("a workspace of %d bytes", workspace)
	}
	roomy := planned(t, cfg, 0) + 8*temporary
	t.Setenv("PLUGIN_TEMPORARY", fmt.Sprint(temporary))
	for memory, want := range map[int64]int{roomy: 4, roomy + workspace: 0} {
		t.Setenv("PLUGIN_MEMORY", fmt.Sprint(memory))
		got, err := ChooseMicroBatch(t.Context(), device, cfg, nil, true, storagetest.Log(t))
		if err != nil || got.MicroBatch != want {
			t.Errorf("in %d bytes micro-batches of %d, want %d: %v", memory, got.MicroBatch, want, err)
		}
	}
}

// TestRunTakesTheLargestMicroBatchThatFits, and keeps it. What cannot fit ends the run before its
// first update, with the setting to change.
func TestRunTakesTheLargestMicroBatchThatFits(t *testing.T) {
	device, err := model.DeviceOptions{}.Open("xla:" + machinetest.BuildPlugin(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(device.Close)
	cfg := smallNetwork()
	needs := func(micro int) int64 { return planned(t, cfg, micro) }
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

//go:build cgo

package check

import (
	"strings"
	"testing"

	_ "github.com/gomlx/go-xla/compute/xla"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/machine/machinetest"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestCheckTriesTheLargestStep on a device that reports its memory.
func TestCheckTriesTheLargestStep(t *testing.T) {
	device, err := model.DeviceOptions{}.Open("xla:" + machinetest.BuildPlugin(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(device.Close)
	cfg := settings.Defaults()
	cfg.Backend, cfg.Batch, cfg.Precision = "xla:/cuda", 4, "float32"
	cfg.Image, cfg.Patch, cfg.Width, cfg.Depth, cfg.Heads = 28, 4, 16, 2, 4
	cfg.PredictorWidth, cfg.PredictorDepth, cfg.PredictorHeads = 32, 1, 2
	cfg.Depths, cfg.IntermediateRows = settings.DepthSet{0, 1}, 1
	for memory, says := range map[string]string{"1000000000": "was tried with passes of 4 images, and fits", "1000": "CIJEPA_REMAT=false"} {
		var out strings.Builder
		k := &check{cfg: cfg, out: &out, log: storagetest.Log(t), smi: machine.NvidiaSMI, host: machine.HostMemory, device: device}
		t.Setenv("PLUGIN_MEMORY", memory)
		if k.checkMemory(t.Context()); !strings.Contains(out.String(), says) {
			t.Errorf("no %q in\n%s", says, &out)
		}
	}
}

package check

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// TestEstimateIsComparedWithTheCard that nvidia-smi prints.
func TestEstimateIsComparedWithTheCard(t *testing.T) {
	for _, c := range []struct {
		backend, smi, says string
		micro              int
	}{
		{"xla:/plugin/xla_cuda_plugin.so", "NVIDIA H100 80GB HBM3, 81559 MiB, 580.1\nNVIDIA H100 80GB HBM3, 81559 MiB, 580.1\n", "ok       card       NVIDIA H100 80GB HBM3, 85.52 GB, driver 580.1", 128},
		{"xla:/plugin/xla_cuda_plugin.so", "NVIDIA L4, 23034 MiB, 580.1\n", "lower CIJEPA_MICRO_BATCH", 512},
		{"xla:/plugin/xla_cuda_plugin.so", "NVIDIA L4, 23034 MiB, 580.1\n", "looks for the largest CIJEPA_MICRO_BATCH that fits", 0},
		{"go:parallelism=64", "NVIDIA L4, 23034 MiB, 580.1\n", "CIJEPA_BACKEND=go:parallelism=64 does not use it", 512},
		{"go:parallelism=64", "", "an estimate", 512},
		{"go:parallelism=64", "NVIDIA-SMI has failed", "an estimate", 512},
	} {
		cfg := settings.Defaults()
		cfg.Backend, cfg.MicroBatch = c.backend, c.micro
		var out bytes.Buffer
		k := &check{cfg: cfg, out: &out, log: storagetest.Log(t), smi: func(context.Context) ([]byte, error) { return []byte(c.smi), nil }}
		if k.checkMemory(t.Context()); !strings.Contains(out.String(), c.says) {
			t.Errorf("no %q in\n%s", c.says, &out)
		}
		if cards := strings.Count(out.String(), " card "); cards > 1 || cards == 1 && !strings.Contains(c.smi, "MiB") {
			t.Errorf("%q is no card:\n%s", c.smi, &out)
		}
	}
}

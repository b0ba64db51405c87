package check

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/machine"
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
		k := &check{cfg: cfg, out: &out, log: storagetest.Log(t), smi: func(context.Context) ([]byte, error) { return []byte(c.smi), nil }, host: machine.HostMemory}
		if k.checkMemory(t.Context()); !strings.Contains(out.String(), c.says) {
			t.Errorf("no %q in\n%s", c.says, &out)
		}
		if cards := strings.Count(out.String(), " card "); cards > 1 || cards == 1 && !strings.Contains(c.smi, "MiB") {
			t.Errorf("%q is no card:\n%s", c.smi, &out)
		}
	}
}

// TestHostMemoryLimitsTheCPU: an estimate beyond the memory of the machine or of its control group
// is a fault of a backend that computes there, and of no other.
func TestHostMemoryLimitsTheCPU(t *testing.T) {
	for _, c := range []struct {
		backend string
		micro   int
		host    machine.Memory
		says    string
		fault   bool
	}{
		{"go:parallelism=64", 0, machine.Memory{Bytes: 24e9, Of: "this machine"}, "is more than the 24.00 GB of this machine: set it to a divisor of CIJEPA_BATCH=512 below 512", true},
		{"go:parallelism=64", 1, machine.Memory{Bytes: 1e9, Of: "the container"}, "is more than the 1.00 GB of the container: set CIJEPA_REMAT=true, or", true},
		{"go:parallelism=64", 1, machine.Memory{Bytes: 240e9, Of: "this machine"}, "that is 4 % of the 240.00 GB of this machine", false},
		{"go:parallelism=64", 0, machine.Memory{}, "an estimate", false},
		{"xla:/plugin/xla_cuda_plugin.so", 0, machine.Memory{Bytes: 24e9, Of: "this machine"}, "an estimate", false},
	} {
		cfg := settings.Defaults()
		cfg.Backend, cfg.MicroBatch = c.backend, c.micro
		var out bytes.Buffer
		k := &check{cfg: cfg, out: &out, log: storagetest.Log(t), smi: machine.NvidiaSMI, host: func() machine.Memory { return c.host }}
		k.checkMemory(t.Context())
		if !strings.Contains(out.String(), c.says) || (len(k.faults.Faults) == 1) != c.fault || strings.Contains(out.String(), "this machine") && c.backend[:2] != "go" {
			t.Errorf("%+v: it says\n%s", c, &out)
		}
	}
}

// TestFullSizeIsNotForTheGoBackend: the fault says what to set, and where a plugin comes from.
func TestFullSizeIsNotForTheGoBackend(t *testing.T) {
	cfg := settings.Defaults()
	var out bytes.Buffer
	k := &check{cfg: cfg, out: &out, log: storagetest.Log(t)}
	k.checkDevice(t.Context())
	t.Cleanup(k.device.Close)
	for _, want := range []string{"CIJEPA_BACKEND=go:parallelism=64: ", "set it to xla:/path/of/plugin.so", "pip install"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	small, _ := smallRun(t)
	k = &check{cfg: small, out: &out, log: storagetest.Log(t)}
	k.checkDevice(t.Context())
	t.Cleanup(k.device.Close)
	if len(k.faults.Faults) > 0 {
		t.Errorf("a small network is a fault: %v", &k.faults)
	}
}

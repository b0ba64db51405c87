package bench

import (
	"context"
	"testing"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
)

// TestPeakIsFoundByName, as nvidia-smi prints it.
func TestPeakIsFoundByName(t *testing.T) {
	for name, want := range map[string]float64{
		"NVIDIA H100 80GB HBM3": 989e12, "NVIDIA H100 PCIe": 756e12, "NVIDIA H100 NVL": 835e12, "NVIDIA H200": 989e12,
		"NVIDIA A100-SXM4-80GB": 312e12, "NVIDIA L4": 121e12, "NVIDIA L40S": 362e12, "NVIDIA L40": 0, "Tesla T4": 0, "NVIDIA GH200 480GB": 0,
	} {
		if got := machine.PeakFLOPs(name); got != want {
			t.Errorf("%s: %g, want %g", name, got, want)
		}
	}
	b := &bench{cfg: settings.Defaults(), model: settings.Defaults().Model(), smi: func(context.Context) ([]byte, error) {
		return []byte("NVIDIA H100 80GB HBM3, 81559 MiB, 580.1\n"), nil
	}}
	b.cfg.Backend = "xla:/plugin/xla_cuda_plugin.so"
	if b.findCard(t.Context(), ""); b.found.Card == nil || *b.found.Driver != "580.1" || b.found.Peak == nil || *b.found.Peak != 989e12 {
		t.Errorf("found %+v", b.found)
	}
}

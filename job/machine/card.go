package machine

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/settings"
)

// Card is a GPU of this machine, as nvidia-smi describes it.
type Card struct {
	Name   string
	Memory float64 // bytes
	Driver string  // its version
}

// FirstCard returns the first card that nvidia-smi prints, or nil where it finds none.
func FirstCard(ctx context.Context, nvidiaSMI func(context.Context) ([]byte, error)) *Card {
	text, err := nvidiaSMI(ctx)
	if err != nil {
		return nil
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	fields := strings.Split(string(first), ",")
	var size settings.Bytes
	if len(fields) != 3 || size.Decode(strings.TrimSpace(fields[1])) != nil || size == 0 {
		return nil
	}
	return &Card{strings.TrimSpace(fields[0]), float64(size), strings.TrimSpace(fields[2])}
}

// NvidiaSMI prints name, memory and driver of each card, one card a line.
func NvidiaSMI(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	query := []string{"--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"}
	return exec.CommandContext(ctx, "nvidia-smi", query...).Output()
}

// peaks are FLOP/s of dense products in bfloat16 with float32 sums, from NVIDIA's data sheets, by
// words of the card's name. The first entry whose words a name contains counts.
var peaks = []struct {
	words string
	flops float64
}{
	{"H100 PCIe", 756e12},
	{"H100 NVL", 835e12},
	{"H100", 989e12}, // SXM
	{"H200 NVL", 835e12},
	{"H200", 989e12},
	{"B200", 2250e12},
	{"A100", 312e12},
	{"L40S", 362e12},
	{"L4", 121e12},
	{"A30", 165e12},
	{"A10", 125e12},
}

// PeakFLOPs returns the FLOP/s of a card by its name, such as "NVIDIA A100-SXM4-80GB", or 0.
func PeakFLOPs(card string) float64 {
	name := " " + strings.ReplaceAll(card, "-", " ") + " " // whole words: an L40S is no L4
	for _, p := range peaks {
		if strings.Contains(name, " "+p.words+" ") {
			return p.flops
		}
	}
	return 0
}

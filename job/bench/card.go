package bench

import (
	"cmp"
	"context"
	"strings"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/model"
)

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

// peakOf returns the FLOP/s of a card by its name, such as "NVIDIA A100-SXM4-80GB", or 0.
func peakOf(card string) float64 {
	name := " " + strings.ReplaceAll(card, "-", " ") + " " // whole words: an L40S is no L4
	for _, p := range peaks {
		if strings.Contains(name, " "+p.words+" ") {
			return p.flops
		}
	}
	return 0
}

// findCard finds the name of the card, if the device is one, and its peak.
func (b *bench) findCard(ctx context.Context, card string) {
	if strings.HasPrefix(b.cfg.Backend, "xla") && strings.Contains(b.cfg.Backend, "cuda") {
		if first := machine.FirstCard(ctx, b.smi); first != nil {
			b.found.Driver = &first.Driver
			card = cmp.Or(card, first.Name)
		}
	}
	if card != "" {
		b.found.Card = &card
	}
	peak := b.options.Peak
	if peak == 0 && b.found.Card != nil && b.model.Precision == model.BFloat16 {
		peak = peakOf(*b.found.Card)
	}
	if peak > 0 {
		b.found.Peak = &peak
	}
}

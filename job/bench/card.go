package bench

import (
	"cmp"
	"context"
	"strings"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/model"
)

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
		peak = machine.PeakFLOPs(*b.found.Card)
	}
	if peak > 0 {
		b.found.Peak = &peak
	}
}

package bench

import "strings"

// peaks are FLOP/s of dense products in bfloat16 with float32 sums, by words of the card's name, from the data sheets of NVIDIA.
// The first that a name contains counts.
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

// peakOf a card by its name, such as "NVIDIA A100-SXM4-80GB", or 0.
func peakOf(card string) float64 {
	name := " " + strings.ReplaceAll(card, "-", " ") + " " // an L40S is no L4
	for _, p := range peaks {
		if strings.Contains(name, " "+p.words+" ") {
			return p.flops
		}
	}
	return 0
}

package input

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/cijepa/cijepa/job/input/pixels"
)

// MaxSize is the largest Config.Size, pixels.
const MaxSize = 4096

// Config says what a Loader makes of a Source. What a batch holds depends on Size, Batch, Window, Seed, Crop, KeepPartial and
// Shuffle; the rest changes speed and memory only.
type Config struct {
	Size  int         // pixels of an image's side in a batch
	Batch int         // images
	Crop  pixels.Crop // how an image becomes a square of Size

	Seed        uint64 // of the order and of the crops
	Shuffle     bool   // another order in every epoch; otherwise shards and samples come as they are stored
	Window      int    // shards of which the samples are mixed; they must be at hand together. 0 = 16
	KeepPartial bool   // keep an epoch's last, partial batch instead of dropping it

	Workers  int // goroutines that decode. 0 = one for every processor that Go uses
	Prefetch int // batches made ahead of the one in use; Prefetch+1 batches are in memory. 0 = 2

	// BadLimit is the part of the split's samples that may be found undecodable before an iteration gives up.
	BadLimit float64
	// Bad are samples that an earlier Loader of the split found undecodable: they count against BadLimit from the start.
	Bad []int

	Log *slog.Logger // for undecodable images; nil = slog.Default()
}

// checked returns the configuration with its defaults filled in, or what is wrong with it.
func (c Config) checked() (Config, error) {
	c.Window = cmp.Or(c.Window, 16)
	c.Workers = cmp.Or(c.Workers, runtime.GOMAXPROCS(0))
	c.Prefetch = cmp.Or(c.Prefetch, 2)
	c.Log = cmp.Or(c.Log, slog.Default())
	var faults []error
	check := func(ok bool, name string, value any, want string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s = %v: %s", name, value, want))
		}
	}
	check(0 < c.Size && c.Size <= MaxSize, "Size", c.Size, fmt.Sprintf("must be 1..%d pixels", MaxSize))
	check(0 < c.Batch, "Batch", c.Batch, "must be above 0")
	check(0 < c.Window, "Window", c.Window, "must be above 0")
	check(0 < c.Workers, "Workers", c.Workers, "must be above 0")
	check(0 < c.Prefetch, "Prefetch", c.Prefetch, "must be above 0")
	check(0 <= c.BadLimit && c.BadLimit <= 1, "BadLimit", c.BadLimit, "must be 0..1")
	check(c.Crop.Filter == pixels.Bilinear || c.Crop.Filter == pixels.Bicubic, "Crop.Filter", c.Crop.Filter, "must be Bilinear or Bicubic")
	if c.Crop.Shorter != 0 {
		check(c.Crop.Shorter >= c.Size, "Crop.Shorter", c.Crop.Shorter, "must be at least Size")
	} else {
		scale, ratio := c.Crop.Scale, c.Crop.Ratio
		check(0 < scale[0] && scale[0] <= scale[1] && scale[1] <= 1, "Crop.Scale", scale, "must ascend within (0, 1]")
		check(0 < ratio[0] && ratio[0] <= ratio[1] && ratio[1] <= 100, "Crop.Ratio", ratio, "must ascend within (0, 100]")
	}
	if len(faults) > 0 {
		return c, fmt.Errorf("input.Config: %w", errors.Join(faults...))
	}
	return c, nil
}

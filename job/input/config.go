package input

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/cijepa/cijepa/job/input/pixels"
)

// MaxSize is the largest Config.Size, in pixels.
const MaxSize = 4096

// Config says what a Loader makes of a Source.
type Config struct {
	Size  int         // pixels of the side of an image in a batch
	Batch int         // images
	Crop  pixels.Crop // how an image becomes a square of Size

	Seed        uint64 // of the order and of the crops
	Shuffle     bool   // a new order in every epoch; otherwise shards and samples come as stored
	Window      int    // shards whose samples are shuffled together, so the cache must hold them; 0 = 16
	KeepPartial bool   // keep an epoch's last, partial batch instead of dropping it

	// BadLimit is the fraction of the split's samples that may turn out undecodable before an
	// iteration fails with ErrBadSamples.
	BadLimit float64
	// Bad are samples that an earlier Loader of the split found undecodable: its Bad(). They count
	// against BadLimit from the start.
	Bad []int

	Log *slog.Logger // for undecodable images; nil = slog.Default()

	workers int // goroutines that decode; 0 = GOMAXPROCS. Tests set it: it changes no batch
}

// checked returns the configuration with its defaults filled in, or all that is wrong with it.
func (c Config) checked() (Config, error) {
	c.Window = cmp.Or(c.Window, 16)
	c.workers = cmp.Or(c.workers, runtime.GOMAXPROCS(0))
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
	check(0 <= c.BadLimit && c.BadLimit <= 1, "BadLimit", c.BadLimit, "must be 0..1")
	check(c.Crop.Filter == pixels.Bilinear || c.Crop.Filter == pixels.Bicubic,
		"Crop.Filter", c.Crop.Filter, "must be Bilinear or Bicubic")
	if c.Crop.Shorter != 0 {
		check(c.Crop.Shorter >= c.Size, "Crop.Shorter", c.Crop.Shorter, "must be at least Size")
	} else {
		scale, ratio := c.Crop.Scale, c.Crop.Ratio
		check(0 < scale[0] && scale[0] <= scale[1] && scale[1] <= 1,
			"Crop.Scale", scale, "must ascend within (0, 1]")
		check(0 < ratio[0] && ratio[0] <= ratio[1] && ratio[1] <= 100,
			"Crop.Ratio", ratio, "must ascend within (0, 100]")
	}
	if len(faults) > 0 {
		return c, fmt.Errorf("input.Config: %w", errors.Join(faults...))
	}
	return c, nil
}

package settings

import (
	"fmt"
	"strconv"
)

// byteUnits are the units of an amount of bytes, the largest decimal one first. "B" ends every
// other suffix, so it comes last.
var byteUnits = []struct {
	suffix string
	size   float64
}{
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1},
}

// FormatBytes writes a number of bytes, rounded, such as 1.50 GB.
func FormatBytes[N int | int64 | float64](bytes N) string {
	for _, u := range byteUnits[:4] {
		if float64(bytes) >= u.size {
			return fmt.Sprintf("%.2f %s", float64(bytes)/u.size, u.suffix)
		}
	}
	return fmt.Sprintf("%.0f bytes", float64(bytes))
}

// FormatSeconds writes a span of time, rounded, in a unit of its size: 0.25 s, 3.0 min, 40.5 h.
func FormatSeconds(seconds float64) string {
	switch {
	case seconds < 1:
		return fmt.Sprintf("%.3g s", seconds)
	case seconds < 120:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 2*3600:
		return fmt.Sprintf("%.1f min", seconds/60)
	case seconds < 1000*3600:
		return fmt.Sprintf("%.1f h", seconds/3600)
	}
	return fmt.Sprintf("%.0f h (%.0f days)", seconds/3600, seconds/86400)
}

// FormatNumber writes a number with four digits.
func FormatNumber(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

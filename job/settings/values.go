package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cijepa/cijepa/job/record"
)

// DepthSet is an ascending set of block depths, written 1-11 or 0,3,5-7.
type DepthSet []int

// span returns the depths from first to last.
func span(first, last int) DepthSet {
	var d DepthSet
	for i := first; i <= last; i++ {
		d = append(d, i)
	}
	return d
}

// endingAt returns the same kind of set for an encoder whose last block is another: one depth
// alone, or all from the same first one.
func (d DepthSet) endingAt(last int) DepthSet {
	if len(d) < 2 {
		return span(last, last)
	}
	return span(min(d[0], last), last)
}

// Decode implements envconfig.Decoder.
func (d *DepthSet) Decode(s string) error {
	errForm := errors.New("depths such as 1-11 or 0,3,5-7")
	var out DepthSet
	for _, piece := range strings.Split(s, ",") {
		low, high, isSpan := strings.Cut(strings.TrimSpace(piece), "-")
		first, err := strconv.Atoi(low)
		last := first
		if err == nil && isSpan {
			last, err = strconv.Atoi(high)
		}
		if err != nil || first > last || last > 1000 {
			return errForm
		}
		out = append(out, span(first, last)...)
	}
	*d = out
	return nil
}

// String writes the set as Decode reads it.
func (d DepthSet) String() string { return record.Ranges(d) }

// Weight is a weight of the objective, or unset (nil), written "-".
type Weight struct{ Value *float64 }

// weight returns a Weight that is set.
func weight(v float64) Weight { return Weight{&v} }

// Decode implements envconfig.Decoder.
func (w *Weight) Decode(s string) error {
	if s == "-" {
		w.Value = nil
		return nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return errors.New("a number from 0 to 1, or - for not set")
	}
	w.Value = &v
	return nil
}

// String writes the weight as Decode reads it.
func (w Weight) String() string {
	if w.Value == nil {
		return "-"
	}
	return strconv.FormatFloat(*w.Value, 'g', -1, 64)
}

// MarshalJSON writes the number, or null.
func (w Weight) MarshalJSON() ([]byte, error) { return json.Marshal(w.Value) }

// UnmarshalJSON reads what MarshalJSON writes.
func (w *Weight) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &w.Value) }

// Range is a pair of numbers, written low,high.
type Range [2]float64

// Decode implements envconfig.Decoder.
func (r *Range) Decode(s string) error {
	low, high, ok := strings.Cut(s, ",")
	a, err1 := strconv.ParseFloat(strings.TrimSpace(low), 64)
	b, err2 := strconv.ParseFloat(strings.TrimSpace(high), 64)
	if !ok || err1 != nil || err2 != nil {
		return errors.New("two numbers such as 0.3,1")
	}
	*r = Range{a, b}
	return nil
}

// String writes the pair as Decode reads it.
func (r Range) String() string { return fmt.Sprintf("%g,%g", r[0], r[1]) }

// within says whether the pair ascends and lies in (low, high].
func (r Range) within(low, high float64) bool { return low < r[0] && r[0] <= r[1] && r[1] <= high }

// Bytes is a number of bytes, written 1500000, 20GB or 64GiB.
type Bytes int64

// Decode implements envconfig.Decoder.
func (b *Bytes) Decode(s string) error {
	number, size := s, 1.0
	for _, u := range byteUnits {
		if n, ok := strings.CutSuffix(s, u.suffix); ok {
			number, size = n, u.size
			break
		}
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(v >= 0 && v*size <= math.MaxInt64/2) {
		return errors.New("an amount such as 1500000, 20GB or 64GiB")
	}
	*b = Bytes(v * size)
	return nil
}

// String writes the number exactly, as Decode reads it. FormatBytes rounds.
func (b Bytes) String() string {
	for _, u := range byteUnits {
		if b > 0 && u.size > 1 && math.Mod(float64(b), u.size) == 0 {
			return fmt.Sprintf("%.0f%s", float64(b)/u.size, u.suffix)
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

package record

import (
	"fmt"
	"math"
	"strings"
)

// Gain is how the teacher compares with the encoder before its first update, by one measure on the
// same validation images.
type Gain struct {
	Measure            string  // "linear probe" at the deepest depth, or "kNN"
	Teacher, Untrained float64 // top-1, percent
	// Error is the standard error of the difference, points: that of two independent shares of the
	// images. It is an upper bound, because images that are easy for one are easy for the other.
	Error float64
}

// Points is the difference of the two, in points of top-1.
func (g Gain) Points() float64 { return g.Teacher - g.Untrained }

// Beyond reports whether the teacher is better by more than two standard errors.
func (g Gain) Beyond() bool { return g.Points() > 2*g.Error }

// Gains are the gains by the linear probe and, if the run has one, by kNN. images is the number of
// validation images; without any there is no gain.
func (m Metrics) Gains(images int) []Gain {
	if images < 1 {
		return nil
	}
	gain := func(measure string, teacher, untrained float64) Gain {
		variance := func(percent float64) float64 { return percent * (100 - percent) / float64(images) }
		return Gain{measure, teacher, untrained, math.Sqrt(variance(teacher) + variance(untrained))}
	}
	all := []Gain{gain("linear probe", m.Top1, m.UntrainedTop1)}
	if m.KNNTop1 != nil && m.UntrainedKNN != nil {
		all = append(all, gain("kNN", *m.KNNTop1, *m.UntrainedKNN))
	}
	return all
}

// Judge returns one sentence on a teacher that by some measure does not beat its untrained self:
// its gain is no more than two standard errors of the difference. It is empty for a teacher that
// beats it by all.
func (m Metrics) Judge(images int) string {
	var nothing, lost []string
	for _, g := range m.Gains(images) {
		words := fmt.Sprintf("by %s (%.2f against %.2f %%, %+.2f ± %.2f points)", g.Measure, g.Teacher, g.Untrained, g.Points(), g.Error)
		switch {
		case g.Points() < -2*g.Error:
			lost = append(lost, words)
		case !g.Beyond():
			nothing = append(nothing, words)
		}
	}
	var parts []string
	if len(nothing) > 0 {
		parts = append(parts, "gained nothing beyond noise "+strings.Join(nothing, " and "))
	}
	if len(lost) > 0 {
		parts = append(parts, "lost "+strings.Join(lost, " and "))
	}
	if len(parts) == 0 {
		return ""
	}
	return "Against the untrained encoder, pretraining " + strings.Join(parts, " and ") + "."
}

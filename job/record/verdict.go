package record

import (
	"fmt"
	"math"
	"strings"
)

// Gain is how the teacher compares with the encoder before its first update, by one measure on the
// same validation images.
type Gain struct {
	Measure            string  // "linear probe", "kNN" or "ridge regression", at the deepest depth
	Teacher, Untrained float64 // top-1, percent
	// Error is the standard error of the difference, points: paired by image where the run has
	// compared the answers, else that of two independent shares. The latter is mostly too large,
	// because images that are easy for one are easy for the other.
	Error float64
}

// Points is the difference of the two, in points of top-1.
func (g Gain) Points() float64 { return g.Teacher - g.Untrained }

// Beyond reports whether the teacher is better by more than two standard errors.
func (g Gain) Beyond() bool { return g.Points() > 2*g.Error }

// Gains are the gains by the linear probe and, if the run has them, by kNN and ridge regression.
// images is the number of validation images; without any there is no gain.
func (m Metrics) Gains(images int) []Gain {
	if images < 1 {
		return nil
	}
	gain := func(measure string, teacher, untrained float64, paired *float64) Gain {
		g := Gain{Measure: measure, Teacher: teacher, Untrained: untrained}
		if paired != nil {
			g.Error = *paired
			return g
		}
		g.Error = math.Hypot(StandardError(teacher, images), StandardError(untrained, images))
		return g
	}
	all := []Gain{gain("linear probe", m.Top1, m.UntrainedTop1, m.GainError)}
	if m.KNNTop1 != nil && m.UntrainedKNN != nil {
		all = append(all, gain("kNN", *m.KNNTop1, *m.UntrainedKNN, m.KNNGainError))
	}
	if m.Ridge != nil {
		all = append(all, gain("ridge regression", m.Ridge.Top1, m.Ridge.UntrainedTop1, nil))
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
		parts = append(parts, "gained nothing beyond noise "+listed(nothing))
	}
	if len(lost) > 0 {
		parts = append(parts, "lost "+listed(lost))
	}
	if len(parts) == 0 {
		return ""
	}
	return "Against the untrained encoder, pretraining " + strings.Join(parts, " and ") + "."
}

// listed joins words as a sentence does.
func listed(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// StandardError is that of an accuracy on so many images, both in percent: the binomial one. A few
// images that are all right, or all wrong, would leave no doubt by it. There it is that with two
// images more of either kind (Agresti and Coull, The American Statistician 1998).
func StandardError(percent float64, images int) float64 {
	share, n := percent/100, float64(images)
	if share <= 0 || share >= 1 {
		share, n = (share*n+2)/(n+4), n+4
	}
	return 100 * math.Sqrt(share*(1-share)/n)
}

// PairedError is the standard error, in percent of the images, of the difference between two
// classifiers' top-1 on the same images. won counts those that the first alone gets right, lost
// those that the second alone does. Where the two agree on every image, or one is right and the
// other wrong on every image, it is that with an image more of either kind (Bonett and Price,
// Journal of Educational and Behavioral Statistics 2012).
func PairedError(won, lost, images int) float64 {
	if most := max(won, lost); won+lost == 0 || most == images {
		won, lost, images = won+1, lost+1, images+2
	}
	n, difference := float64(images), float64(won-lost)
	return 100 * math.Sqrt(float64(won+lost)-difference*difference/n) / n
}

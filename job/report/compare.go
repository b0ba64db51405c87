package report

import (
	"fmt"
	"math"
)

// Row holds our runs of one of the post's presets against the post's.
type Row struct {
	Reference
	Runs       int      // of ours that have finished
	Mean       *float64 // top-1 of ours, percent
	Error      *float64 // its standard error: of the validation images, and of the seeds when there are several
	Comparable bool     // ours were computed on data of the post's size
	Difference *float64 // ours - the post's, points
	Noise      *float64 // standard error of the difference
	Verdict    string   // one plain sentence
}

// postImages is the size of the post's validation set.
const postImages = 5000

// Rows is the post's table with our runs beside it.
func (r *Report) Rows() []Row {
	var rows []Row
	for _, reference := range r.References {
		row := Row{Reference: reference, Comparable: true}
		var tops []float64
		images := math.Inf(1)
		for _, run := range r.Runs {
			if run.Result == nil || run.Preset != reference.Preset {
				continue
			}
			tops = append(tops, run.Result.Figures.Top1)
			images = min(images, float64(run.Result.Data.ValidationSamples))
			row.Comparable = row.Comparable && run.Result.PostTop1 != nil
		}
		row.Runs = len(tops)
		row.compare(tops, images)
		rows = append(rows, row)
	}
	return rows
}

// compare fills in mean, errors and the sentence. Seeds share their validation images, so more seeds do not lessen what the
// choice of images leaves open.
func (row *Row) compare(tops []float64, images float64) {
	if len(tops) == 0 {
		row.Comparable = false
		return
	}
	mean, spread := meanAndDeviation(tops)
	se := math.Hypot(binomialError(mean, images), spread/math.Sqrt(float64(len(tops))))
	row.Mean, row.Error = &mean, &se
	if !row.Comparable {
		row.Verdict = "Other data than the post's: not to be compared with its figure."
		return
	}
	difference := mean - row.PostTop1
	noise := math.Hypot(se, binomialError(row.PostTop1, postImages))
	row.Difference, row.Noise = &difference, &noise
	switch {
	case math.Abs(difference) <= 2*noise:
		row.Verdict = fmt.Sprintf("Within noise: %.2f points are less than two standard errors (%.2f).", math.Abs(difference), 2*noise)
	case difference > 0:
		row.Verdict = fmt.Sprintf("Above the post's by more than noise: %.2f points, %.1f standard errors.", difference, difference/noise)
	default:
		row.Verdict = fmt.Sprintf("Below the post's by more than noise: %.2f points, %.1f standard errors.", -difference, -difference/noise)
	}
}

// binomialError is the standard error of a share in percent, of so many images.
func binomialError(percent, images float64) float64 {
	share := percent / 100
	return 100 * math.Sqrt(share*(1-share)/images)
}

// meanAndDeviation gives the mean and the sample's standard deviation, 0 for one value.
func meanAndDeviation(values []float64) (mean, deviation float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	if len(values) < 2 {
		return mean, 0
	}
	for _, v := range values {
		deviation += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(values)-1))
}

// Contrasts says of the best preset and of every other whether the gap is more than noise. It needs runs on the same data.
func (r *Report) Contrasts() []string {
	type group struct {
		preset, data string
		tops         []float64
		images       float64
	}
	var groups []*group
	for _, run := range r.Runs {
		if run.Result == nil {
			continue
		}
		var mine *group
		for _, g := range groups {
			if g.preset == run.Preset && g.data == run.Begun.Fingerprint {
				mine = g
			}
		}
		if mine == nil {
			mine = &group{preset: run.Preset, data: run.Begun.Fingerprint, images: float64(run.Result.Data.ValidationSamples)}
			groups = append(groups, mine)
		}
		mine.tops = append(mine.tops, run.Result.Figures.Top1)
	}
	var best *group
	var bestMean float64
	for _, g := range groups {
		if mean, _ := meanAndDeviation(g.tops); best == nil || mean > bestMean {
			best, bestMean = g, mean
		}
	}
	var sentences []string
	for _, g := range groups {
		if g == best || g.data != best.data {
			continue
		}
		mean, spread := meanAndDeviation(g.tops)
		_, bestSpread := meanAndDeviation(best.tops)
		noise := math.Hypot(
			math.Hypot(binomialError(mean, g.images), spread/math.Sqrt(float64(len(g.tops)))),
			math.Hypot(binomialError(bestMean, best.images), bestSpread/math.Sqrt(float64(len(best.tops)))))
		word := "more than noise"
		if bestMean-mean <= 2*noise {
			word = "within noise"
		}
		sentences = append(sentences, fmt.Sprintf("%s is %.2f ± %.2f points above %s: %s.", best.preset, bestMean-mean, noise, g.preset, word))
	}
	return sentences
}

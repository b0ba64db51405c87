package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/job/record"
)

// Row holds our runs of one of the post's presets against the post's.
type Row struct {
	Reference
	Runs       int      // of ours that the mean is of
	Mean       *float64 // top-1 of ours, percent
	Error      *float64 // its standard error: of the validation images, and of the seeds when there are several
	Difference *float64 // ours - the post's, points; nil when the two are not of one kind
	Noise      *float64 // standard error of the difference
	Word       string   // the verdict, short
	Verdict    string   // in plain sentences
}

// postImages is the size of the post's validation set.
const postImages = 5000

// Rows is the post's table with our runs beside it. A preset is only where a run's settings begin: the mean is of the runs that
// kept the post's recipe and data, and of the others only where there is none of these.
func (r *Report) Rows() []Row {
	var rows []Row
	for _, reference := range r.References {
		var alike, other []*Run
		var why []string
		for _, run := range r.Runs {
			if run.Result == nil || run.Preset != reference.Preset {
				continue
			}
			departs := run.departs(reference)
			if len(departs) == 0 {
				alike = append(alike, run)
				continue
			}
			other = append(other, run)
			for _, what := range departs {
				if !slices.Contains(why, what) {
					why = append(why, what)
				}
			}
		}
		row := Row{Reference: reference}
		switch {
		case len(alike) > 0:
			row.compare(alike)
			if n := len(other); n > 0 {
				row.Verdict += fmt.Sprintf(" Left out: %d with %s.", n, strings.Join(why, ", "))
			}
		case len(other) > 0:
			row.average(other)
			row.Word = "other recipe or data"
			row.Verdict = fmt.Sprintf("Not to be compared with the post's figure: %s.", strings.Join(why, ", "))
		}
		rows = append(rows, row)
	}
	return rows
}

// The settings that may differ between runs of one recipe: those that change the last bits of a run, by the memory of the device that
// it began on, and those that the post does not name.
var (
	lastBits = []string{"MicroBatch", "Remat", "PlainAttention"}
	leftOpen = append([]string{"Seed", "Data", "Batch", "PeakLR", "FinalLR", "Precision", "Window", "KNNK", "KNNBank"}, lastBits...)
)

// postsNames are what the post calls some settings.
var postsNames = map[string]string{"Epochs": "epochs", "Depths": "depths", "AllToLastWeight": "alpha", "LastToLastWeight": "beta", "IntermediateRows": "rows"}

// departs says what of the run is not as in the post. A setting that an older program did not have yet is as it was.
func (r *Run) departs(from Reference) (what []string) {
	posts := &Run{Begun: record.RunRecord[Recipe]{Recipe: from.Recipe}}
	for _, name := range slices.Sorted(maps.Keys(from.Recipe)) {
		_, has := r.Begun.Recipe[name]
		if ours, theirs := r.Setting(name), posts.Setting(name); has && ours != theirs && !slices.Contains(leftOpen, name) {
			what = append(what, fmt.Sprintf("%s %s instead of %s", cmp.Or(postsNames[name], name), ours, theirs))
		}
	}
	if r.Result.PostTop1 == nil {
		what = append(what, "other data")
	}
	return what
}

// compare sets runs that are of the post's kind against it.
func (row *Row) compare(runs []*Run) {
	row.average(runs)
	difference := *row.Mean - row.PostTop1
	noise := math.Hypot(*row.Error, binomialError(row.PostTop1, postImages))
	row.Difference, row.Noise = &difference, &noise
	switch {
	case math.Abs(difference) <= 2*noise:
		row.Word = "within noise"
		row.Verdict = fmt.Sprintf("Within noise: %.2f points are less than two standard errors (%.2f).", math.Abs(difference), 2*noise)
	case difference > 0:
		row.Word = "above the post's"
		row.Verdict = fmt.Sprintf("Above the post's by more than noise: %.2f points, %.1f standard errors.", difference, difference/noise)
	default:
		row.Word = "below the post's"
		row.Verdict = fmt.Sprintf("Below the post's by more than noise: %.2f points, %.1f standard errors.", -difference, -difference/noise)
	}
	var more []string
	for _, d := range settings(runs) {
		if d.Setting != "Seed" && !slices.Contains(lastBits, d.Setting) {
			more = append(more, d.Setting)
		}
	}
	if len(more) > 0 {
		row.Verdict += fmt.Sprintf(" The runs differ in more than their seed: %s.", strings.Join(more, ", "))
	}
}

// average fills in the mean and its standard error.
func (row *Row) average(runs []*Run) {
	g := group{runs: runs}
	mean, noise := g.top1()
	row.Runs, row.Mean, row.Error = len(runs), &mean, &noise
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

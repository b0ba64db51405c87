package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/record"
)

// Row is one of the post's runs with ours beside it.
type Row struct {
	Reference
	Runs       int      // of ours that the mean is of
	Mean       *float64 // top-1 of ours, percent
	Error      *float64 // its standard error: of the validation images, and of the seeds if there are several
	Difference *float64 // ours - the post's, points; nil if the recipe or the data is another
	Noise      *float64 // standard error of the difference
	Word       string   // the verdict, short
	Verdict    string   // in sentences
}

// postImages is the size of the post's validation set.
const postImages = 5000

// Rows is the post's table with our runs beside it. A run may start from a preset and change its
// settings: the mean is of the runs with the post's recipe and data, and of the others only if
// there are none.
func (r *Report) Rows() []Row {
	var rows []Row
	for _, reference := range r.References {
		var same, other []*history.Run
		var why []string
		for _, run := range r.Runs {
			if !run.Scored() || run.Preset != reference.Preset {
				continue
			}
			changes := changesFrom(reference, run)
			if len(changes) == 0 {
				same = append(same, run)
				continue
			}
			other = append(other, run)
			for _, change := range changes {
				if !slices.Contains(why, change) {
					why = append(why, change)
				}
			}
		}
		row := Row{Reference: reference}
		switch {
		case len(same) > 0:
			row.compare(same)
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

// PostRows is Rows if one of our runs starts from a preset of the post, else nil: nothing of ours
// could stand in the table.
func (r *Report) PostRows() []Row {
	ours := func(ref Reference) bool {
		return slices.ContainsFunc(r.Runs, func(run *history.Run) bool { return run.Preset == ref.Preset })
	}
	if !slices.ContainsFunc(r.References, ours) {
		return nil
	}
	return r.Rows()
}

// InPostsTable says whether one of our runs can stand in the post's table: it has the post's recipe
// and data.
func (r *Report) InPostsTable() bool {
	return slices.ContainsFunc(r.PostRows(), func(row Row) bool { return row.Difference != nil })
}

// The settings that may differ between runs of one recipe: those that change the last bits of a
// run, by the memory of the device that it began on, and those that the post does not name.
var (
	lastBits = []string{"MicroBatch", "Remat", "PlainAttention"}
	unnamed  = []string{"Seed", "Data", "Batch", "PeakLR", "FinalLR", "Precision", "Window", "KNNK", "KNNBank"}
)

// postsNames are what the post calls some settings.
var postsNames = map[string]string{
	"Epochs": "epochs", "Depths": "depths", "IntermediateRows": "rows",
	"AllToLastWeight": "alpha", "LastToLastWeight": "beta",
}

// changesFrom says in what a finished run is not as in the post. A setting that its program did not
// have yet counts as unchanged.
func changesFrom(reference Reference, run *history.Run) (changes []string) {
	for _, name := range slices.Sorted(maps.Keys(reference.Recipe)) {
		if slices.Contains(lastBits, name) || slices.Contains(unnamed, name) {
			continue
		}
		_, has := run.Record.Recipe[name]
		if ours, theirs := run.Setting(name), reference.Recipe.Setting(name); has && ours != theirs {
			changes = append(changes, fmt.Sprintf("%s %s instead of %s", cmp.Or(postsNames[name], record.Variable(name)), ours, theirs))
		}
	}
	if run.Result.PostTop1 == nil {
		changes = append(changes, "other data")
	}
	if run.Result.Data.SmallImages > 0 {
		changes = append(changes, "images in small copies, below 224 pixels")
	}
	return changes
}

// compare sets runs with the post's recipe and data against it.
func (row *Row) compare(runs []*history.Run) {
	row.average(runs)
	difference := *row.Mean - row.PostTop1
	noise := math.Hypot(*row.Error, record.StandardError(row.PostTop1, postImages))
	row.Difference, row.Noise = &difference, &noise
	size, side := math.Abs(difference), "Above"
	if difference < 0 {
		side = "Below"
	}
	row.Word = strings.ToLower(side) + " the post's"
	row.Verdict = fmt.Sprintf("%s the post's by more than noise: %.2f points, %.1f standard errors.", side, size, size/noise)
	if size <= 2*noise {
		row.Word = "within noise"
		row.Verdict = fmt.Sprintf("Within noise: %.2f points are less than two standard errors (%.2f).", size, 2*noise)
	}
	var more []string
	for _, d := range settingDifferences(runs) {
		if d.Setting != "Seed" && !slices.Contains(lastBits, d.Setting) {
			more = append(more, record.Variable(d.Setting))
		}
	}
	if len(more) > 0 {
		row.Verdict += fmt.Sprintf(" The runs differ in more than their seed: %s.", strings.Join(more, ", "))
	}
}

// average fills in the mean and its standard error.
func (row *Row) average(runs []*history.Run) {
	mean, noise := recipe{runs: runs}.top1()
	row.Runs, row.Mean, row.Error = len(runs), &mean, &noise
}

// Difference is a setting in which runs differ, by its environment variable, with the value of each
// run.
type Difference struct {
	Setting string
	Values  []string
}

// Differences are the settings that are not the same in all runs, in alphabetical order, and last
// the data and the program.
func (r *Report) Differences() []Difference {
	all := settingDifferences(r.Runs)
	for i := range all {
		all[i].Setting = record.Variable(all[i].Setting)
	}
	all = appendDifference(all, "Data, sha256", r.Runs, func(run *history.Run) string {
		return prefix(run.Record.Fingerprint, 12)
	})
	return appendDifference(all, "Program", r.Runs, func(run *history.Run) string {
		return strings.TrimSpace(run.Record.Versions.Program + " " + prefix(run.Record.Versions.Commit, 8))
	})
}

func settingDifferences(runs []*history.Run) (all []Difference) {
	for _, name := range settingNames(runs) {
		all = appendDifference(all, name, runs, func(run *history.Run) string { return run.Setting(name) })
	}
	return all
}

// settingNames are the settings of all runs, in alphabetical order.
func settingNames(runs []*history.Run) []string {
	names := map[string]bool{}
	for _, run := range runs {
		for name := range run.Record.Recipe {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// appendDifference appends a Difference unless all runs have one value.
func appendDifference(all []Difference, name string, runs []*history.Run, value func(*history.Run) string) []Difference {
	d := Difference{Setting: name}
	for _, run := range runs {
		d.Values = append(d.Values, value(run))
	}
	if len(slices.Compact(slices.Clone(d.Values))) < 2 {
		return all
	}
	return append(all, d)
}

func prefix(s string, n int) string { return s[:min(len(s), n)] }

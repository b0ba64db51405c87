package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/record"
)

// columns are those of runs.csv, before the settings.
var columns = []struct {
	name  string
	value func(run *history.Run) any // see cell
}{
	{"run", func(r *history.Run) any { return r.Name }},
	{"preset", func(r *history.Run) any { return r.Preset }},
	{"state", func(r *history.Run) any { return r.State() }},
	{"top1", ofScores(func(m record.Metrics) any { return m.Top1 })},
	{"top1_standard_error", ofScores(func(m record.Metrics) any { return m.StandardError })},
	{"top5", ofScores(func(m record.Metrics) any { return m.Top5 })},
	{"untrained_top1", ofScores(func(m record.Metrics) any { return m.UntrainedTop1 })},
	{"knn_top1", ofResult(func(r *history.Result) any { return r.Metrics.KNNTop1 })},
	{"untrained_knn_top1", ofResult(func(r *history.Result) any { return r.Metrics.UntrainedKNN })},
	{"ridge_top1", ofRidge(func(r *record.Ridge) any { return r.Top1 })},
	{"untrained_ridge_top1", ofRidge(func(r *record.Ridge) any { return r.UntrainedTop1 })},
	{"patches_ridge_top1", ofRidge(func(r *record.Ridge) any { return r.PatchesTop1 })},
	{"pixels_ridge_top1", ofRidge(func(r *record.Ridge) any { return r.PixelsTop1 })},
	{"verdict", func(r *history.Run) any { return r.Judge() }},
	{"post_top1", ofResult(func(r *history.Result) any { return r.PostTop1 })},
	{"updates", ofResult(func(r *history.Result) any { return r.Metrics.Updates })},
	{"images_per_second", ofResult(func(r *history.Result) any { return r.Stats.ImagesPerSecond })},
	{"data_wait", ofResult(func(r *history.Result) any { return r.Stats.DataWait })},
	{"pretrain_seconds", ofResult(func(r *history.Result) any { return r.Stats.PretrainSeconds })},
	{"probe_seconds", ofResult(func(r *history.Result) any { return r.Stats.ProbeSeconds })},
	{"mfu", ofResult(func(r *history.Result) any { return r.Stats.MFU })},
	{"device_memory_bytes", ofResult(func(r *history.Result) any { return r.Stats.DeviceMemory })},
	{"machine_seconds", ofResult(func(r *history.Result) any { return r.Stats.MachineSeconds })},
	{"cost", ofResult(func(r *history.Result) any { return r.Stats.Cost })},
	{"attempts", func(r *history.Run) any { return r.Starts() }},
	{"updates_lost", func(r *history.Run) any { return r.Lost() }},
	{"killed_attempts", func(r *history.Run) any { return r.Killed() }},
	{"skipped_updates", ofResult(func(r *history.Result) any { return r.Metrics.Skipped })},
	{"bad_samples", ofResult(func(r *history.Result) any { return r.Stats.BadSamples })},
	{"alarms", func(r *history.Run) any { return len(r.Alarms) }},
	{"device", ofResult(func(r *history.Result) any { return r.Device })},
	{"commit", func(r *history.Run) any { return r.Record.Versions.Commit }},
	{"data_fingerprint", func(r *history.Run) any { return r.Record.Fingerprint }},
	{"teacher_sha256", ofResult(func(r *history.Result) any { return r.Metrics.TeacherSHA256 })},
	{"state_sha256", ofResult(func(r *history.Result) any { return r.Metrics.StateSHA256 })},
}

// ofResult leaves a column empty for a run without a result.
func ofResult(value func(*history.Result) any) func(*history.Run) any {
	return func(r *history.Run) any {
		if r.Result == nil {
			return ""
		}
		return value(r.Result)
	}
}

// ofScores leaves a column empty for a run without scores.
func ofScores(value func(record.Metrics) any) func(*history.Run) any {
	return ofResult(func(r *history.Result) any {
		if !r.Metrics.Scored() {
			return ""
		}
		return value(r.Metrics)
	})
}

// ofRidge leaves a column empty for a run without ridge regression.
func ofRidge(value func(*record.Ridge) any) func(*history.Run) any {
	return ofScores(func(m record.Metrics) any {
		if m.Ridge == nil {
			return ""
		}
		return value(m.Ridge)
	})
}

// cell writes a text, or a number with all its digits; a nil *float64 is empty.
func cell(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case *float64:
		if v == nil {
			return ""
		}
		return cell(*v)
	}
	return fmt.Sprint(v)
}

// writeCSV writes a line for each run, with every setting under its environment variable, for other
// programs.
func (r *Report) writeCSV(w io.Writer) error {
	settings := settingNames(r.Runs)
	var head []string
	for _, c := range columns {
		head = append(head, c.name)
	}
	for _, name := range settings {
		head = append(head, record.Variable(name))
	}
	lines := [][]string{head}
	for _, run := range r.Runs {
		var line []string
		for _, c := range columns {
			line = append(line, cell(c.value(run)))
		}
		for _, name := range settings {
			line = append(line, run.Setting(name))
		}
		lines = append(lines, line)
	}
	for _, line := range lines {
		for i := range line {
			line[i] = inert(line[i])
		}
	}
	return csv.NewWriter(w).WriteAll(lines)
}

// inert keeps a spreadsheet from taking a text for a formula: it puts an apostrophe before a text
// that begins as one. Numbers, and the dash of a setting that is not set, stay as they are.
func inert(cell string) string {
	if cell == "" || cell == "-" || !strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return cell
	}
	if _, err := strconv.ParseFloat(cell, 64); err == nil {
		return cell
	}
	return "'" + cell
}

// Listed is a run as a list has it. Figures are in percent; nil: the run does not have it yet.
type Listed struct {
	Run           string   `json:"run"`
	Preset        string   `json:"preset"`
	State         string   `json:"state"`
	Top1          *float64 `json:"top1"`
	StandardError *float64 `json:"top1_standard_error"`
	UntrainedTop1 *float64 `json:"untrained_top1"` // of the encoder before its first update
	KNNTop1       *float64 `json:"knn_top1"`
	UntrainedKNN  *float64 `json:"untrained_knn_top1"`
	Hours         *float64 `json:"hours"`
	Alarms        int      `json:"alarms"`
}

// Listing lists Runs, in its order.
func (r *Report) Listing() []Listed {
	list := []Listed{}
	for _, run := range r.Runs {
		l := Listed{Run: run.Name, Preset: run.Preset, State: run.State(), Hours: run.Hours(), Alarms: len(run.Alarms)}
		if run.Scored() {
			m := &run.Result.Metrics
			l.Top1, l.StandardError, l.UntrainedTop1, l.KNNTop1, l.UntrainedKNN = &m.Top1, &m.StandardError, &m.UntrainedTop1, m.KNNTop1, m.UntrainedKNN
		}
		list = append(list, l)
	}
	return list
}

// WriteListing writes the runs as a table for a terminal: a line of headings, and a line for each
// run. Columns are padded with spaces. Figures of the untrained encoder stand beside the teacher's.
// What a run does not have yet is a dash.
func (r *Report) WriteListing(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join([]string{"run", "state", "top-1", "untrained", "kNN", "untrained", "hours", "alarms"}, "\t"))
	for _, l := range r.Listing() {
		fmt.Fprintln(table, strings.Join([]string{
			record.Printable(l.Run), record.Printable(l.State), plusMinus(l.Top1, l.StandardError), fixed(l.UntrainedTop1, 2),
			fixed(l.KNNTop1, 2), fixed(l.UntrainedKNN, 2), fixed(l.Hours, 2), fmt.Sprint(l.Alarms),
		}, "\t"))
	}
	return table.Flush()
}

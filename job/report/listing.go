package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/cijepa/cijepa/job/record"
)

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

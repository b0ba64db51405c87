package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/cijepa/cijepa/job/record"
)

// WriteListing writes the runs as a table for a terminal: a line of headings, and a line for each
// run of Runs, in its order. Columns are padded with spaces. Figures are in percent; those of the
// untrained encoder stand beside the teacher's. What a run does not have yet is a dash.
func (r *Report) WriteListing(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join([]string{"run", "state", "top-1", "untrained", "kNN", "untrained", "hours", "alarms"}, "\t"))
	for _, run := range r.Runs {
		var top1, standardError, untrained, knn, untrainedKNN *float64
		if run.Scored() {
			m := &run.Result.Metrics
			top1, standardError, untrained, knn, untrainedKNN = &m.Top1, &m.StandardError, &m.UntrainedTop1, m.KNNTop1, m.UntrainedKNN
		}
		fmt.Fprintln(table, strings.Join([]string{
			record.Printable(run.Name), record.Printable(run.State()), plusMinus(top1, standardError), fixed(untrained, 2),
			fixed(knn, 2), fixed(untrainedKNN, 2), fixed(run.Hours(), 2), fmt.Sprint(len(run.Alarms)),
		}, "\t"))
	}
	return table.Flush()
}

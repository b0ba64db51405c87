package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/record"
)

// Transfer is a table of teachers by data: top-1 of their probes.
type Transfer struct {
	Data []string // headings: a data set, with the share of its labels
	Rows []TransferRow
}

// TransferRow is one teacher.
type TransferRow struct {
	Teacher string
	Cells   []*TransferCell // by Transfer.Data; nil: not probed
}

// TransferCell is the probes of a teacher on the same data and share, of one seed or several.
type TransferCell struct {
	Top1, Error  float64 // percent; mean over the seeds, and its standard error
	Untrained    float64 // top-1 of the same probe on the untrained encoder
	KNN          *float64
	UntrainedKNN *float64 // nil, as KNN: not of all of them
	Probes       int
}

// Transfer lays the probes of teachers side by side, with the run's own figure where its own data
// is a column. It is nil if there is no probe but those of the runs themselves.
func (r *Report) Transfer() *Transfer {
	if len(r.Probes) == 0 {
		return nil
	}
	results := map[[2]string][]*history.Result{} // by teacher and data
	columns, rows := map[string]bool{}, map[string]bool{}
	add := func(teacher string, result *history.Result) {
		data := r.dataName(result)
		results[[2]string{teacher, data}] = append(results[[2]string{teacher, data}], result)
		columns[data], rows[teacher] = true, true
	}
	for _, p := range r.Probes {
		teacher := p.Run
		if t := p.Result.Teacher; t.From != "runs/"+p.Run {
			teacher = t.From
		}
		if step := p.Result.Teacher.Step; step > 0 {
			teacher += fmt.Sprintf(" at update %d", step)
		}
		add(teacher, &p.Result)
	}
	for _, run := range r.Runs {
		// A run that was probed on its own data has that figure already.
		if run.Scored() && rows[run.Name] && results[[2]string{run.Name, r.dataName(run.Result)}] == nil {
			add(run.Name, run.Result)
		}
	}
	t := &Transfer{Data: slices.Sorted(maps.Keys(columns))}
	for _, teacher := range slices.Sorted(maps.Keys(rows)) {
		row := TransferRow{Teacher: teacher}
		for _, data := range t.Data {
			row.Cells = append(row.Cells, newTransferCell(results[[2]string{teacher, data}]))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// dataName is the data of a result and the share of the labels. Data sets of one name and other
// content are told apart by their fingerprint.
func (r *Report) dataName(result *history.Result) string {
	name := cmp.Or(result.Recipe.Setting("Data"), "data")
	for _, p := range r.Probes {
		if p.Result.Recipe.Setting("Data") == result.Recipe.Setting("Data") && p.Result.Data.Fingerprint != result.Data.Fingerprint {
			name += " (" + prefix(result.Data.Fingerprint, 8) + ")"
			break
		}
	}
	if share, err := strconv.ParseFloat(result.Recipe.Setting("ProbeShare"), 64); err == nil && share > 0 && share < 1 {
		name += ", " + strconv.FormatFloat(100*share, 'g', 4, 64) + " % of the labels"
	}
	return name
}

// newTransferCell is the mean of probes that differ by their seed.
func newTransferCell(results []*history.Result) *TransferCell {
	if len(results) == 0 {
		return nil
	}
	mean := func(of func(record.Metrics) *float64) *float64 {
		sum := 0.0
		for _, result := range results {
			v := of(result.Metrics)
			if v == nil {
				return nil
			}
			sum += *v
		}
		sum /= float64(len(results))
		return &sum
	}
	c := &TransferCell{
		Untrained: *mean(func(m record.Metrics) *float64 { return &m.UntrainedTop1 }),
		KNN:       mean(func(m record.Metrics) *float64 { return m.KNNTop1 }), UntrainedKNN: mean(func(m record.Metrics) *float64 { return m.UntrainedKNN }),
		Probes: len(results),
	}
	c.Top1, c.Error = meanTop1(results)
	return c
}

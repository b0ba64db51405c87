package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/report/chart"
)

// maxFrames of a table over time.
const maxFrames = 24

// errorTable is the run's errors by source and target depth, on a scale of its own; nil without
// one.
func errorTable(run *history.Run) *chart.HeatMap {
	cells, depths := rounded(run.Table()), run.Depths()
	if len(cells) != len(depths) || len(cells) < 2 { // one cell is no map
		return nil
	}
	h := chart.ByDepth(depths, cells)
	h.Name, h.Title = "table-"+fileName(run.Name), "Error by source and target depth"
	h.Caption = "Mean squared error, as last seen, of predicting the teacher's depth (column) from " +
		"the student's depth (row). Predicting zero scores 1."
	h.Fit()
	var all []chart.Frame
	for _, s := range run.Steps {
		if len(s.Table) == len(depths) {
			all = append(all, chart.Frame{Epoch: s.Epoch, Cells: rounded(s.Table)})
		}
	}
	stride := max(1, (len(all)+maxFrames-1)/maxFrames)
	for i := (len(all) - 1) % stride; i < len(all) && len(all) > 1; i += stride {
		h.Frames = append(h.Frames, all[i])
	}
	return h
}

// rounded keeps three digits after the point: more would only make the page larger.
func rounded(cells [][]*float64) [][]*float64 {
	out := make([][]*float64, len(cells))
	for i, row := range cells {
		out[i] = make([]*float64, len(row))
		for k, v := range row {
			if v != nil {
				short := math.Round(*v*1000) / 1000
				out[i][k] = &short
			}
		}
	}
	return out
}

// alphaBeta is top-1 by the weights of the deepest target: the mean of finished runs. Of the runs
// that share depths, epochs, rows and data it takes the largest set; nil unless alpha or beta has
// several values there.
func (r *Report) alphaBeta() *chart.HeatMap {
	type set struct{ depths, epochs, rows, data string }
	sets := grouped(r.scored(), func(run *history.Run) set {
		return set{run.Setting("Depths"), run.Setting("Epochs"), run.Setting("IntermediateRows"), run.Record.Fingerprint}
	})
	if len(sets) == 0 {
		return nil
	}
	largest := slices.MaxFunc(sets, func(a, b []*history.Run) int { return cmp.Compare(len(a), len(b)) })
	tops := map[[2]string][]float64{}
	var alphas, betas []string
	for _, run := range largest {
		alpha, beta := run.Setting("AllToLastWeight"), run.Setting("LastToLastWeight")
		if beta == "-" {
			beta = alpha // a beta that is not set is alpha
		}
		tops[[2]string{alpha, beta}] = append(tops[[2]string{alpha, beta}], run.Result.Metrics.Top1)
		alphas, betas = append(alphas, alpha), append(betas, beta)
	}
	slices.Sort(alphas)
	slices.Sort(betas)
	alphas, betas = slices.Compact(alphas), slices.Compact(betas)
	if len(alphas) < 2 && len(betas) < 2 {
		return nil
	}
	cells := make([][]*float64, len(alphas))
	for i, a := range alphas {
		cells[i] = make([]*float64, len(betas))
		for k, b := range betas {
			if of := tops[[2]string{a, b}]; len(of) > 0 {
				mean := stat.Mean(of, nil)
				cells[i][k] = &mean
			}
		}
	}
	h := &chart.HeatMap{
		Name: "alpha-beta", Title: "Top-1 by alpha and beta",
		Caption: fmt.Sprintf("Percent, mean of the finished runs. Alpha is the weight of the deepest target in "+
			"every row, beta in the deepest row; - is uniform. Depths %s, %s epochs, %s intermediate rows.",
			largest[0].Setting("Depths"), largest[0].Setting("Epochs"), largest[0].Setting("IntermediateRows")),
		RowName: "alpha", ColName: "beta", Rows: alphas, Columns: betas, Values: cells,
	}
	h.Fit()
	return h
}

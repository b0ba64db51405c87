package report

import (
	"fmt"
	"slices"
)

// alphaBeta is top-1 by the weights of the deepest target: mean of the finished runs that share depths, epochs and rows with the
// most runs. nil unless both or one of them take several values.
func (r *Report) alphaBeta() *heatMap {
	type kind struct{ depths, epochs, rows, data string }
	counts := map[kind]int{}
	kindOf := func(run *Run) kind {
		return kind{run.Setting("Depths"), run.Setting("Epochs"), run.Setting("IntermediateRows"), run.Begun.Fingerprint}
	}
	var most kind
	for _, run := range r.Runs {
		if run.Result == nil {
			continue
		}
		k := kindOf(run)
		if counts[k]++; counts[k] > counts[most] {
			most = k
		}
	}
	tops := map[[2]string][]float64{}
	var alphas, betas []string
	for _, run := range r.Runs {
		if run.Result == nil || kindOf(run) != most {
			continue
		}
		alpha, beta := run.Setting("AllToLastWeight"), run.Setting("LastToLastWeight")
		if beta == "-" {
			beta = alpha // takes alpha's
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
	h := &heatMap{
		Name: "alpha-beta", RowName: "alpha", ColName: "beta", Rows: alphas, Columns: betas,
		Title:   "Top-1 by alpha and beta",
		Caption: fmt.Sprintf("Percent, mean of the finished runs. Alpha is the weight of the deepest target in every row, beta in the deepest row; - is uniform. Depths %s, %s epochs, %s intermediate rows.", most.depths, most.epochs, most.rows),
	}
	cells := make([][]*float64, len(alphas))
	for i, a := range alphas {
		cells[i] = make([]*float64, len(betas))
		for k, b := range betas {
			if of := tops[[2]string{a, b}]; len(of) > 0 {
				mean, _ := meanAndDeviation(of)
				cells[i][k] = &mean
			}
		}
	}
	h.fill(cells, "%.2f")
	return h
}

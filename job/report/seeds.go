package report

import (
	"strings"

	"gonum.org/v1/gonum/stat"
)

// Seeds is a recipe with several finished runs, which differ by their seed alone.
type Seeds struct {
	Recipe      string // its preset, or its first run
	Alpha, Beta string
	Seeds       string   // such as 0, 1, 2
	Mean        *float64 // top-1, percent
	Error       *float64 // its standard error: of the validation images and of the seeds
	Spread      *float64 // standard deviation over the seeds
	Cost        *float64 // of all runs; nil: not known
}

// Seeds lists the recipes that have been run with several seeds, in the order of the runs.
func (r *Report) Seeds() []Seeds {
	var all []Seeds
	for _, of := range r.recipes() {
		if len(of.runs) < 2 {
			continue
		}
		first := of.runs[0]
		s := Seeds{Recipe: of.name, Alpha: first.Setting("AllToLastWeight"), Beta: first.Setting("LastToLastWeight")}
		var seeds []string
		var tops []float64
		for _, run := range of.runs {
			seeds, tops = append(seeds, run.Setting("Seed")), append(tops, run.Result.Metrics.Top1)
			if cost := run.Result.Stats.Cost; cost != nil {
				if s.Cost == nil {
					s.Cost = new(float64)
				}
				*s.Cost += *cost
			}
		}
		mean, noise := of.top1()
		spread := stat.StdDev(tops, nil)
		s.Seeds, s.Mean, s.Error, s.Spread = strings.Join(seeds, ", "), &mean, &noise, &spread
		all = append(all, s)
	}
	return all
}

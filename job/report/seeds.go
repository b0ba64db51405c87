package report

import (
	"strings"

	"gonum.org/v1/gonum/stat"
)

// Seeds is a recipe with its finished runs, which differ by their seed alone.
type Seeds struct {
	Recipe      string // its preset, or its first run
	Alpha, Beta string
	Runs        int
	Seeds       string   // such as 0, 1, 2
	Mean        *float64 // top-1, percent
	Error       *float64 // its standard error: of the validation images and of the seeds
	Spread      *float64 // standard deviation over the seeds; nil: one seed
	Needed      string   // seeds that tell a difference of one point: see seedsForOnePoint
	Cost        *float64 // of all runs; nil: not known
}

// seedsNote explains Seeds in a page or a text.
const seedsNote = "Spread: the standard deviation s of top-1 over seeds. For 1 point: the seeds that the recipe and the best one (the best: and the next one) " +
	"each need to tell a difference of one point at a level of 5 % with a power of 80 %, ⌈2s² / ((1/2.80)² − t²/n)⌉. s² is the mean of all recipes on the data; " +
	"t² is the variance over the n images of the difference that many seeds would have, as far as these runs tell it."

// Seeds lists the recipes of the finished runs, by data set in the order of the runs.
func (r *Report) Seeds() []Seeds {
	var all []Seeds
	for _, recipes := range byData(r.recipes()) {
		needed := seedsForOnePoint(recipes)
		for _, of := range recipes {
			all = append(all, of.seeds(needed[of]))
		}
	}
	return all
}

func (of *recipe) seeds(needed string) Seeds {
	first := of.runs[0]
	mean, noise := of.top1()
	s := Seeds{Recipe: of.name, Alpha: first.Setting("AllToLastWeight"), Beta: first.Setting("LastToLastWeight"),
		Runs: len(of.runs), Mean: &mean, Error: &noise, Needed: needed}
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
	if s.Seeds = strings.Join(seeds, ", "); len(tops) > 1 {
		spread := stat.StdDev(tops, nil)
		s.Spread = &spread
	}
	return s
}

package model

import (
	"math"
	"slices"

	"github.com/cijepa/cijepa/model/draw"
)

// Schedule gives the learning rate and the teacher's momentum of every update of a run. Updates are
// counted from 1 to Total, as by I-JEPA's schedulers, which step before the update.
type Schedule struct {
	Total, Warmup              int64   // updates of the run, and of its linear warm-up
	Start, Peak, Final         float64 // learning rates
	StartMomentum, EndMomentum float64 // of the teacher's moving average
}

// LR is the learning rate of an update: linear from Start to Peak over the warm-up, then a cosine
// to Final at Total, where it stays.
func (s Schedule) LR(update int64) float64 {
	if update < s.Warmup {
		return s.Start + float64(update)/float64(s.Warmup)*(s.Peak-s.Start)
	}
	if update >= s.Total {
		return s.Final
	}
	progress := float64(update-s.Warmup) / float64(s.Total-s.Warmup)
	return s.Final + (s.Peak-s.Final)*(1+math.Cos(math.Pi*progress))/2
}

// EMAMomentum is the share of itself that the teacher keeps in an update: StartMomentum in the
// first one, then linear towards EndMomentum, which it would reach one update after the last.
func (s Schedule) EMAMomentum(update int64) float64 {
	return s.StartMomentum + float64(update-1)*(s.EndMomentum-s.StartMomentum)/float64(s.Total)
}

// SampleDepths draws the source depths of a step: `rows` distinct ones, uniform over the depths
// without the deepest, then the deepest, ascending. They depend on the seed and the step alone.
// depths is ascending, and rows must be below its length.
func SampleDepths(depths []int, rows int, seed uint64, step int64) []int {
	last := len(depths) - 1
	stream := draw.New(seed, "depths", uint64(step))
	// The first `rows` elements of a permutation are a uniform sample without replacement.
	sources := make([]int, 0, rows+1)
	for _, i := range stream.Perm(last)[:rows] {
		sources = append(sources, depths[i])
	}
	slices.Sort(sources)
	return append(sources, depths[last])
}

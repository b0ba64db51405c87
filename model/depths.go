package model

import (
	"slices"

	"github.com/cijepa/cijepa/model/draw"
)

// SampleDepths draws the source depths of a step: `rows` distinct ones, uniform over the depths without the deepest, then
// the deepest. They come in ascending order. Which they are depends on the seed and the step alone.
// depths is ascending; rows must be below its length.
func SampleDepths(depths []int, rows int, seed uint64, step int64) []int {
	last := len(depths) - 1
	stream := draw.New(seed, "depths", uint64(step))
	// The first `rows` places of a permutation are a uniform sample without replacement.
	sources := make([]int, 0, rows+1)
	for _, i := range stream.Perm(last)[:rows] {
		sources = append(sources, depths[i])
	}
	slices.Sort(sources)
	return append(sources, depths[last])
}

// RowWeights are the weights w(source, t) of the target depths in the row of a source depth; they sum to 1. The deepest
// target gets the bias of the row and the others share the rest evenly. The bias is `last` for the deepest source where
// it is set, else `all` where that is set; a row with neither is uniform (the post's all_to_last_weight and
// last_to_last_weight).
func RowWeights(depths []int, source int, all, last *float64) []float64 {
	n := len(depths)
	weights := make([]float64, n)
	if n == 1 {
		weights[0] = 1
		return weights
	}
	bias := all
	if source == depths[n-1] && last != nil {
		bias = last
	}
	deepest := 1 / float64(n)
	if bias != nil {
		deepest = *bias
	}
	for i := range weights {
		weights[i] = (1 - deepest) / float64(n-1)
	}
	weights[n-1] = deepest
	return weights
}

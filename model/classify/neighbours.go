package classify

import (
	"runtime"
	"slices"
	"sync"
)

// NearestNeighbours predicts classes by the k nearest training samples under cosine similarity.
// The class with the most votes wins; of classes with equal votes the one with the larger sum of
// similarities, then the lower one. Of training samples that are equally near, the first is
// taken. It runs on all cores of the host, and the predictions do not depend on their number.
//
// train is [n, width] with n labels in 0..classes-1, test is [m, width]; the predictions are m
// classes. k is at least 1 and may exceed n. A feature of zeros is at similarity 0 to all.
func NearestNeighbours(train []float32, trainLabels []int32, test []float32, width, k, classes int) []int32 {
	return RankNeighbours(train, trainLabels, test, nil, width, k, classes).Classes
}

// RankNeighbours is NearestNeighbours with the rank of the m classes of testLabels in the same
// order. Without testLabels there are no ranks.
func RankNeighbours(train []float32, trainLabels []int32, test []float32, testLabels []int32, width, k, classes int) Answers {
	m := len(test) / width
	scale := inverseNorms(train, width)
	answers := Answers{Classes: make([]int32, m), Ranks: make([]int32, len(testLabels))}
	var wait sync.WaitGroup
	blocks := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			var near [rowsAtOnce]nearest
			for i := range near {
				near[i].k = k
			}
			votes := make([]vote, classes)
			for first := range blocks {
				rows := min(rowsAtOnce, m-first)
				search(near[:], train, scale, test[first*width:(first+rows)*width], width)
				for i := range rows {
					answers.Classes[first+i] = near[i].predict(trainLabels, votes)
					if testLabels != nil {
						answers.Ranks[first+i] = rank(votes, answers.Classes[first+i], testLabels[first+i])
					}
				}
			}
		})
	}
	for first := 0; first < m; first += rowsAtOnce {
		blocks <- first
	}
	close(blocks)
	wait.Wait()
	return answers
}

// rowsAtOnce is the number of test samples that one pass over the training set serves. Their sums
// stay in registers.
const rowsAtOnce = 4

// search finds the neighbours of up to rowsAtOnce test samples.
func search(near []nearest, train, scale, test []float32, width int) {
	var row [rowsAtOnce][]float32
	for i := range row {
		near[i].found = near[i].found[:0]
		row[i] = test[min(i*width, len(test)-width):][:width] // a missing row repeats the last one
	}
	for sample, s := range scale {
		x := train[sample*width:][:width]
		a, b, c, d := row[0][:len(x)], row[1][:len(x)], row[2][:len(x)], row[3][:len(x)]
		var s0, s1, s2, s3 float32
		for i, v := range x {
			s0 += v * a[i]
			s1 += v * b[i]
			s2 += v * c[i]
			s3 += v * d[i]
		}
		for i, sum := range [rowsAtOnce]float32{s0, s1, s2, s3} {
			near[i].offer(sample, sum*s)
		}
	}
}

// nearest keeps the k most similar samples that it is offered, in descending order.
type nearest struct {
	k     int
	found []neighbour
}

type neighbour struct {
	sample     int
	similarity float32
}

// offer takes samples in the order of their indices, so the first of equally near samples wins.
func (n *nearest) offer(sample int, similarity float32) {
	if len(n.found) == n.k && !(similarity > n.found[n.k-1].similarity) {
		return
	}
	at := len(n.found)
	for at > 0 && similarity > n.found[at-1].similarity {
		at--
	}
	if len(n.found) == n.k {
		n.found = n.found[:n.k-1]
	}
	n.found = slices.Insert(n.found, at, neighbour{sample, similarity})
}

type vote struct {
	count int
	sum   float64 // of similarities
}

// predict lets the neighbours vote. votes is a buffer with an element for each class.
func (n *nearest) predict(labels []int32, votes []vote) int32 {
	clear(votes)
	for _, f := range n.found {
		v := &votes[labels[f.sample]]
		v.count++
		v.sum += float64(f.similarity)
	}
	best := 0
	for class, v := range votes {
		if b := votes[best]; v.count > b.count || v.count == b.count && v.sum > b.sum {
			best = class
		}
	}
	return int32(best)
}

// rank is the number of classes that come before the label's. Sums that are no number have no
// order, so the class that won decides whether it is 0.
func rank(votes []vote, won, label int32) int32 {
	if won == label {
		return 0
	}
	before, l := int32(0), votes[label]
	for class, v := range votes {
		if v.count > l.count || v.count == l.count && (v.sum > l.sum || v.sum == l.sum && class < int(label)) {
			before++
		}
	}
	return max(before, 1)
}

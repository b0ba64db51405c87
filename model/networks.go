package model

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"github.com/cijepa/cijepa/model/draw"
	"github.com/gomlx/gomlx/core/tensors"
)

// networks is the state of a run on the device.
type networks struct {
	student    *group
	teacher    []*tensors.Tensor // the student's arrays, averaged
	predictors map[int]*group    // by source depth
}

// group is a network that is trained, with its optimiser state.
type group struct {
	arrays           []array
	w, first, second []*tensors.Tensor // weights and both moments
	updates          int64             // how many it has had
}

// newNetworks makes the initial state.
func newNetworks(d *Device, c Config, seed uint64) (n networks, err error) {
	if n.student, err = newGroup(d, c.encoderArrays(), seed, studentSeed); err != nil {
		return n, err
	}
	for i, a := range n.student.arrays {
		data, err := d.download(n.student.w[i])
		if err != nil {
			return n, err
		}
		w, err := d.upload(data, a.shape())
		if err != nil {
			return n, err
		}
		n.teacher = append(n.teacher, w)
	}
	n.predictors = map[int]*group{}
	for _, depth := range c.Depths {
		if n.predictors[depth], err = newGroup(d, c.predictorArrays(), seed, predictorSeed(depth)); err != nil {
			return n, err
		}
	}
	return n, nil
}

func newGroup(d *Device, arrays []array, seed, network uint64) (*group, error) {
	g := &group{arrays: arrays}
	for i, a := range arrays {
		data := initial(a, seed, network, i)
		for _, list := range []*[]*tensors.Tensor{&g.w, &g.first, &g.second} {
			t, err := d.upload(data, a.shape())
			if err != nil {
				return nil, err
			}
			*list = append(*list, t)
			clear(data) // the moments begin at zero
		}
	}
	return g, nil
}

// newSums makes the arrays in which the gradients of micro-batches add up.
func newSums(d *Device, c Config) (sums []*tensors.Tensor, err error) {
	for _, a := range sumArrays(c) {
		shape := a.trainedShape()
		t, err := d.upload(make([]byte, floatShape(shape...).ByteSize()), shape)
		if err != nil {
			return nil, err
		}
		sums = append(sums, t)
	}
	return sums, nil
}

// state lists the arrays that a step of the groups moves (the student, then the predictors in the slots), where they are
// kept: the student with its moments, the teacher, every predictor with its moments.
func (n *networks) state(groups []*group) []**tensors.Tensor {
	var list []**tensors.Tensor
	for i, g := range groups {
		list = append(list, join(places(g.w), places(g.first), places(g.second))...)
		if i == 0 {
			list = append(list, places(n.teacher)...)
		}
	}
	return list
}

// weights lists the weights that a pass over the groups reads: student, teacher, predictors.
func (n *networks) weights(groups []*group) []*tensors.Tensor {
	list := join(groups[0].w, n.teacher)
	for _, g := range groups[1:] {
		list = append(list, g.w...)
	}
	return list
}

// places lists where the arrays of a list are kept.
func places(list []*tensors.Tensor) (at []**tensors.Tensor) {
	for i := range list {
		at = append(at, &list[i])
	}
	return at
}

// The networks of a run, as numbers that set their initial weights apart.
const studentSeed = 0

func predictorSeed(depth int) uint64 { return 1 + uint64(depth) }

// initialDeviation is the standard deviation of initial weights. I-JEPA truncates at +-2, a hundred deviations away.
const initialDeviation = 0.02

// initial draws an array as float32 values, little-endian: normal weight matrices, zero biases, norms of one,
// as I-JEPA runs. Every row has a stream of its own, so rows are drawn side by side.
func initial(a array, seed, network uint64, index int) []byte {
	data := make([]byte, 4*a.size())
	var rows sync.WaitGroup
	for row := range max(a.rows, 1) {
		rows.Go(func() {
			stream := draw.New(seed, "weights", network, uint64(index), uint64(row))
			for value := range slices.Chunk(data[4*row*a.rowSize():][:4*a.rowSize()], 4) {
				var x float32
				switch a.kind {
				case matrix:
					x = float32(initialDeviation * stream.Normal())
				case gain:
					x = 1
				}
				binary.LittleEndian.PutUint32(value, math.Float32bits(x))
			}
		})
	}
	rows.Wait()
	return data
}

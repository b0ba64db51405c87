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
	student    *paramGroup
	teacher    []*tensors.Tensor   // the student's arrays, averaged
	predictors map[int]*paramGroup // by source depth
}

// paramGroup is a network that is trained, with its optimiser state.
type paramGroup struct {
	arrays       []array
	params, m, v []*tensors.Tensor // weights and both moments
	updates      int64             // how many it has had
}

// newNetworks makes the initial state.
func newNetworks(d *Device, c Config, seed uint64) (n networks, err error) {
	if n.student, err = newParamGroup(d, c.encoderArrays(), seed, studentSeed); err != nil {
		return n, err
	}
	for i, a := range n.student.arrays {
		data, err := d.download(n.student.params[i])
		if err != nil {
			return n, err
		}
		w, err := d.upload(data, a.shape())
		if err != nil {
			return n, err
		}
		n.teacher = append(n.teacher, w)
	}
	n.predictors = map[int]*paramGroup{}
	for _, depth := range c.Depths {
		if n.predictors[depth], err = newParamGroup(d, c.predictorArrays(), seed, predictorSeed(depth)); err != nil {
			return n, err
		}
	}
	return n, nil
}

func newParamGroup(d *Device, arrays []array, seed, network uint64) (*paramGroup, error) {
	g := &paramGroup{arrays: arrays}
	for i, a := range arrays {
		data := initialValues(a, seed, network, i)
		for _, list := range []*[]*tensors.Tensor{&g.params, &g.m, &g.v} {
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

// newGradAccum makes the arrays in which the gradients of micro-batches add up.
func newGradAccum(d *Device, c Config) (sums []*tensors.Tensor, err error) {
	for _, a := range gradAccumArrays(c) {
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
func (n *networks) state(groups []*paramGroup) []**tensors.Tensor {
	var list []**tensors.Tensor
	for i, g := range groups {
		list = append(list, join(pointers(g.params), pointers(g.m), pointers(g.v))...)
		if i == 0 {
			list = append(list, pointers(n.teacher)...)
		}
	}
	return list
}

// weights lists the weights that a pass over the groups reads: student, teacher, predictors.
func (n *networks) weights(groups []*paramGroup) []*tensors.Tensor {
	list := join(groups[0].params, n.teacher)
	for _, g := range groups[1:] {
		list = append(list, g.params...)
	}
	return list
}

// pointers lists where the arrays of a list are kept.
func pointers(list []*tensors.Tensor) (at []**tensors.Tensor) {
	for i := range list {
		at = append(at, &list[i])
	}
	return at
}

// The networks of a run, as numbers that set their initial weights apart.
const studentSeed = 0

func predictorSeed(depth int) uint64 { return 1 + uint64(depth) }

// initStd is the standard deviation of initial weights. I-JEPA truncates at +-2, a hundred deviations away.
const initStd = 0.02

// initialValues draws an array as float32 values, little-endian: normal weight matrices, zero biases, norms of one,
// as I-JEPA runs. Every row has a stream of its own, so rows are drawn side by side.
func initialValues(a array, seed, network uint64, index int) []byte {
	data := make([]byte, 4*a.size())
	var rows sync.WaitGroup
	for row := range max(a.rows, 1) {
		rows.Go(func() {
			stream := draw.New(seed, "weights", network, uint64(index), uint64(row))
			for value := range slices.Chunk(data[4*row*a.rowSize():][:4*a.rowSize()], 4) {
				var x float32
				switch a.kind {
				case matrix:
					x = float32(initStd * stream.Normal())
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

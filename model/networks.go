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
	arrays []array
	trained[*tensors.Tensor]
	updates int64 // how many it has had
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

// makeNetworks makes networks whose lists of arrays come from list.
func makeNetworks(c Config, list func([]array) []*tensors.Tensor) networks {
	group := func(arrays []array) *paramGroup {
		return &paramGroup{arrays: arrays, trained: trained[*tensors.Tensor]{list(arrays), list(arrays), list(arrays)}}
	}
	n := networks{student: group(c.encoderArrays()), teacher: list(c.encoderArrays()), predictors: map[int]*paramGroup{}}
	for _, depth := range c.Depths {
		n.predictors[depth] = group(c.predictorArrays())
	}
	return n
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
func newGradAccum(d *Device, c Config) (list []*tensors.Tensor, err error) {
	for _, shape := range c.gradAccumShapes() {
		t, err := d.upload(make([]byte, shape.ByteSize()), shape.Dimensions)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
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

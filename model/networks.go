package model

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/cijepa/cijepa/model/draw"
)

// networks is the state of a run on the device.
type networks struct {
	student    *paramGroup
	teacher    []*tensors.Tensor   // the student's arrays, averaged
	predictors map[int]*paramGroup // by source depth
}

// paramGroup is a trained network: its parameters and both moments.
type paramGroup struct {
	arrays []array
	trained[*tensors.Tensor]
	updates int64 // that it has had
}

// newNetworks makes the initial state: the teacher is a copy of the student.
func newNetworks(d *Device, c Config, seed uint64) (n networks, err error) {
	initial := func(network uint64) func(int, array) []byte {
		return func(i int, a array) []byte { return initialValues(a, seed, network, i) }
	}
	if n.student, err = newParamGroup(d, c.encoderArrays(), initial(studentSeed)); err != nil {
		return n, err
	}
	for i, a := range n.student.arrays {
		data, err := d.download(n.student.params[i])
		if err != nil {
			return n, err
		}
		t, err := d.upload(data, a.shape())
		if err != nil {
			return n, err
		}
		n.teacher = append(n.teacher, t)
	}
	n.predictors = map[int]*paramGroup{}
	for _, depth := range c.Depths {
		if n.predictors[depth], err = newParamGroup(d, c.predictorArrays(), initial(predictorSeed(depth))); err != nil {
			return n, err
		}
	}
	return n, nil
}

// makeNetworks makes networks whose lists of arrays come from `list`.
func makeNetworks(c Config, list func([]array) []*tensors.Tensor) networks {
	group := func(arrays []array) *paramGroup {
		return &paramGroup{arrays: arrays, trained: trained[*tensors.Tensor]{list(arrays), list(arrays), list(arrays)}}
	}
	n := networks{
		student: group(c.encoderArrays()), teacher: list(c.encoderArrays()), predictors: map[int]*paramGroup{},
	}
	for _, depth := range c.Depths {
		n.predictors[depth] = group(c.predictorArrays())
	}
	return n
}

// newParamGroup uploads the initial parameters of a network, array by array, and moments of zero.
func newParamGroup(d *Device, arrays []array, initial func(i int, a array) []byte) (*paramGroup, error) {
	g := &paramGroup{arrays: arrays}
	for i, a := range arrays {
		data := initial(i, a)
		for _, list := range []*[]*tensors.Tensor{&g.params, &g.m, &g.v} {
			t, err := d.upload(data, a.shape())
			if err != nil {
				return nil, err
			}
			*list = append(*list, t)
			clear(data)
		}
	}
	return g, nil
}

// newGradAccum makes the arrays in which the gradients of micro-batches are accumulated.
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

// studentSeed and predictorSeed set the streams of the networks' initial weights apart.
const studentSeed = 0

func predictorSeed(depth int) uint64 { return 1 + uint64(depth) }

// initStd is the standard deviation of initial weights. I-JEPA truncates at +-2, which is a hundred
// standard deviations away.
const initStd = 0.02

// initialValues draws an array as float32 values, little-endian: normal weight matrices, zero
// biases, gains of one, as I-JEPA runs. Every row has a stream of its own, so rows are drawn in
// parallel.
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

// free frees the arrays on the device.
func (n *networks) free(c Config) error {
	var errs []error
	for _, p := range n.files(c) {
		errs = append(errs, p.group.free())
	}
	return errors.Join(errs...)
}

// free frees the arrays on the device.
func (g *paramGroup) free() error {
	var errs []error
	for _, t := range join(g.params, g.m, g.v) {
		if t != nil { // as in a blank learner
			errs = append(errs, t.FinalizeAll())
		}
	}
	return errors.Join(errs...)
}

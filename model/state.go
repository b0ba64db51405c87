package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/gomlx/gomlx/core/tensors"
	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/model/safetensors"
)

// Part is one file of a state. The parts of a Learner's state are safetensors, float32, in
// PyTorch's layout, with each array under its name in the reference. A trained network's file also
// holds the moments and the step count of each array:
//
//	student.safetensors       student.blocks.0.attn.qkv.weight ..., adam.m/student.blocks.0 ...
//	teacher.safetensors       teacher.blocks.0.attn.qkv.weight ...
//	predictor-05.safetensors  predictors.5.heads.2.weight ..., adam.m/predictors.5.heads.2.weight ...
type Part struct {
	Name string // as "student.safetensors"
	Size int64  // bytes
	// Write writes the whole file. It waits until the arrays have come from the device, and may be
	// called again, from any goroutine.
	Write func(io.Writer) error
}

// The prefixes of the optimizer's arrays.
const (
	firstMoment  = "adam.m/"
	secondMoment = "adam.v/"
	stepCount    = "adam.step/" // a float32 [1], as in PyTorch; 0 for weights that no loss reaches
)

// stateFile is a part of a state on the device.
type stateFile struct {
	name   string
	prefix string
	group  *paramGroup // the teacher's has no moments
}

// files lists the parts of the state, in a fixed order.
func (n *networks) files(c Config) []stateFile {
	list := []stateFile{
		{StudentPart, "student.", n.student},
		{TeacherPart, "teacher.", &paramGroup{
			arrays: c.encoderArrays(), trained: trained[*tensors.Tensor]{params: n.teacher},
		}},
	}
	for _, depth := range c.Depths {
		list = append(list, stateFile{
			fmt.Sprintf("predictor-%02d.safetensors", depth), fmt.Sprintf("predictors.%d.", depth), n.predictors[depth],
		})
	}
	return list
}

// stackedTensor is an array of a stateFile, on the device and on the host.
type stackedTensor struct {
	array
	prefix string // of the names of its rows
	tensor *tensors.Tensor
	data   []byte // of all rows, little-endian float32; nil: not downloaded yet
}

// named are the rows as arrays of a file. They share the tensor's memory.
func (s stackedTensor) named() (list []safetensors.Array) {
	size := 4 * s.rowSize()
	for i, name := range s.names() {
		row := safetensors.Array{Name: s.prefix + name, Dims: s.dims}
		if s.data != nil {
			row.Data = s.data[i*size:][:size]
		}
		list = append(list, row)
	}
	return list
}

// stacked lists the tensors of the file: parameters, then both moments.
func (f stateFile) stacked() (list []stackedTensor) {
	kinds := []struct {
		prefix  string
		tensors []*tensors.Tensor
	}{{"", f.group.params}, {firstMoment, f.group.m}, {secondMoment, f.group.v}}
	for _, kind := range kinds {
		for i, t := range kind.tensors {
			list = append(list, stackedTensor{array: f.group.arrays[i], prefix: kind.prefix + f.prefix, tensor: t})
		}
	}
	return list
}

// arrays lists what the file holds, in its order.
func (f stateFile) arrays(stacked []stackedTensor) []safetensors.Array {
	arrays := f.stepCounts(f.group.updates)
	for _, t := range stacked {
		arrays = append(arrays, t.named()...)
	}
	return arrays
}

// stepCounts are the step counts of the rows; the teacher has none.
func (f stateFile) stepCounts(updates int64) (list []safetensors.Array) {
	if len(f.group.m) == 0 {
		return nil
	}
	for _, a := range f.group.arrays {
		for i, name := range a.names() {
			count := updates
			if i >= len(a.trained()) {
				count = 0
			}
			data := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(count)))
			list = append(list, safetensors.Array{Name: stepCount + f.prefix + name, Dims: []int{1}, Data: data})
		}
	}
	return list
}

// formatMetadata marks a file as one in PyTorch's layout, which some readers insist on.
var formatMetadata = map[string]string{"format": "pt"}

// Load replaces the whole state by the parts that `open` opens by name, several at once, and reads
// each to its end. If any part cannot be read or does not fit, the learner is as it was. The error
// wraps that of the reader, or is safetensors.ErrFormat, or comes from the device.
func (l *Learner) Load(open func(part string) (io.ReadCloser, error)) (err error) {
	defer recovered(&err, "loading the state")
	files := l.files(l.Config)
	groups := make([]*paramGroup, len(files))
	var loads errgroup.Group
	loads.SetLimit(loadsAtOnce)
	for i, f := range files {
		loads.Go(func() (err error) {
			defer recovered(&err, "loading "+f.name)
			if groups[i], err = f.load(l.device, open); err != nil {
				return fmt.Errorf("loading %s: %w", f.name, err)
			}
			return nil
		})
	}
	err = loads.Wait()
	if err == nil && l.lost != nil && l.passes() > 1 { // a failed pass takes the accumulators with it
		l.gradAccum, err = newGradAccum(l.device, l.Config)
	}
	if err != nil {
		for _, g := range groups {
			if g != nil {
				err = errors.Join(err, g.free())
			}
		}
		return err
	}
	old := l.networks
	l.networks = networks{student: groups[0], teacher: groups[1].params, predictors: map[int]*paramGroup{}}
	l.lost = nil
	for i, depth := range l.Depths {
		l.predictors[depth] = groups[2+i]
	}
	return old.free(l.Config)
}

// loadsAtOnce bounds the parts that are loaded in parallel. Each takes one core for its checksum,
// and its size in the host's memory until it is whole.
const loadsAtOnce = 4

// load reads a part into new arrays on the device. On the host it takes the size of the part.
func (f stateFile) load(d *Device, open func(string) (io.ReadCloser, error)) (g *paramGroup, err error) {
	stacked := f.stacked()
	for i, t := range stacked {
		stacked[i].data = make([]byte, 4*t.size())
	}
	counts := f.stepCounts(0)
	arrays := slices.Clone(counts)
	for _, t := range stacked {
		arrays = append(arrays, t.named()...)
	}
	r, err := open(f.name)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(safetensors.Read(r, arrays), r.Close()); err != nil {
		return nil, err
	}
	g = &paramGroup{arrays: f.group.arrays}
	if len(counts) > 0 {
		g.updates = int64(math.Float32frombits(binary.LittleEndian.Uint32(counts[0].Data)))
	}
	for i, want := range f.stepCounts(g.updates) {
		if string(counts[i].Data) != string(want.Data) {
			return nil, fmt.Errorf("%w: %s differs from the step count of the other arrays, %d",
				safetensors.ErrFormat, want.Name, g.updates)
		}
	}
	for i, t := range stacked {
		t, err := d.upload(t.data, t.shape())
		if err != nil {
			return nil, errors.Join(err, g.free())
		}
		list := []*[]*tensors.Tensor{&g.params, &g.m, &g.v}[i/len(g.arrays)]
		*list = append(*list, t)
	}
	return g, nil
}

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

// Part is one file of a state. The parts of a Learner's state are in safetensors, float32, in PyTorch's layout, each array
// under its name in the reference:
//
//	student.safetensors         student.blocks.0.attn.qkv.weight ..., and adam.m/, adam.v/, adam.step/ before each name
//	teacher.safetensors         teacher.blocks.0.attn.qkv.weight ...
//	predictor-05.safetensors    predictors.5.heads.2.weight ..., and adam.m/, adam.v/, adam.step/ before each name
type Part struct {
	Name string // as "student.safetensors"
	Size int64  // bytes
	// Write writes the whole file, once it has come from the device. It may be called again, and from any goroutine.
	Write func(io.Writer) error
}

// The parts of a network that is trained, as they stand before the names of its arrays.
const (
	firstMoment  = "adam.m/"
	secondMoment = "adam.v/"
	stepCount    = "adam.step/" // a float of shape [1], as PyTorch keeps it; 0 for weights that no loss reaches
)

// stateFile is a part of a state as it lies on the device.
type stateFile struct {
	name   string
	prefix string
	group  *paramGroup // the teacher has weights alone
}

// files names the parts, in a fixed order.
func (n *networks) files(c Config) []stateFile {
	list := []stateFile{
		{"student.safetensors", "student.", n.student},
		{"teacher.safetensors", "teacher.", &paramGroup{arrays: c.encoderArrays(), trained: trained[*tensors.Tensor]{params: n.teacher}}},
	}
	for _, depth := range c.Depths {
		list = append(list, stateFile{fmt.Sprintf("predictor-%02d.safetensors", depth), fmt.Sprintf("predictors.%d.", depth), n.predictors[depth]})
	}
	return list
}

// stackedTensor is an array of a portion, on the device and in the memory of the host.
type stackedTensor struct {
	array
	prefix string // before the names of its rows
	device *tensors.Tensor
	data   []byte // of all rows, little-endian float32; nil: not there yet
}

// named are the rows of the stack, which share its memory.
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

// stacked lists the arrays of a portion: weights, then both moments.
func (p stateFile) stacked() (list []stackedTensor) {
	kinds := []struct {
		prefix string
		on     []*tensors.Tensor
	}{{"", p.group.params}, {firstMoment, p.group.m}, {secondMoment, p.group.v}}
	for _, kind := range kinds {
		for i, on := range kind.on {
			list = append(list, stackedTensor{array: p.group.arrays[i], prefix: kind.prefix + p.prefix, device: on})
		}
	}
	return list
}

// arrays lists what the file of a portion holds, in its order.
func (p stateFile) arrays(stacks []stackedTensor) []safetensors.Array {
	arrays := p.stepCounts(p.group.updates)
	for _, st := range stacks {
		arrays = append(arrays, st.named()...)
	}
	return arrays
}

// stepCounts are the step counts of a portion's rows, if it is trained.
func (p stateFile) stepCounts(updates int64) (list []safetensors.Array) {
	if len(p.group.m) == 0 {
		return nil
	}
	for _, a := range p.group.arrays {
		for i, name := range a.names() {
			count := updates
			if i >= len(a.trained()) {
				count = 0
			}
			data := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(count)))
			list = append(list, safetensors.Array{Name: stepCount + p.prefix + name, Dims: []int{1}, Data: data})
		}
	}
	return list
}

// formatMetadata marks a file as one of PyTorch's layout: some readers insist on it.
var formatMetadata = map[string]string{"format": "pt"}

// Load replaces the whole state by the parts that `open` opens by name, several at once. Each is read to its end. If any part
// cannot be read or does not fit, the learner is as it was, and the error wraps that of the reader,
// or is [ErrFormat], or else comes from the device.
func (l *Learner) Load(open func(part string) (io.ReadCloser, error)) (err error) {
	defer recovered(&err, "loading the state")
	portions := l.files(l.Config)
	groups := make([]*paramGroup, len(portions))
	var parts errgroup.Group
	parts.SetLimit(partsAtOnce)
	for i, p := range portions {
		parts.Go(func() (err error) {
			defer recovered(&err, "loading "+p.name)
			if groups[i], err = p.load(l.device, open); err != nil {
				return fmt.Errorf("loading %s: %w", p.name, err)
			}
			return nil
		})
	}
	err = parts.Wait()
	if err == nil && l.lost != nil && l.passes() > 1 { // they may be gone with the state
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
	l.networks, l.lost = networks{student: groups[0], teacher: groups[1].params, predictors: map[int]*paramGroup{}}, nil
	for i, depth := range l.Depths {
		l.predictors[depth] = groups[2+i]
	}
	return old.free(l.Config)
}

// partsAtOnce is how many parts of a state are loaded at once: one core computes a part's checksum, and what is read lies in the
// memory of the host until the whole part is there.
const partsAtOnce = 4

// load reads a part into new arrays on the device, one more copy of the part in the host's memory at most.
func (p stateFile) load(d *Device, open func(string) (io.ReadCloser, error)) (g *paramGroup, err error) {
	stacks := p.stacked()
	for i, st := range stacks {
		stacks[i].data = make([]byte, 4*st.size())
	}
	counts := p.stepCounts(0)
	arrays := slices.Clone(counts)
	for _, st := range stacks {
		arrays = append(arrays, st.named()...)
	}
	r, err := open(p.name)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(safetensors.Read(r, arrays), r.Close()); err != nil {
		return nil, err
	}
	g = &paramGroup{arrays: p.group.arrays}
	if len(counts) > 0 {
		g.updates = int64(math.Float32frombits(binary.LittleEndian.Uint32(counts[0].Data)))
	}
	for i, want := range p.stepCounts(g.updates) {
		if string(counts[i].Data) != string(want.Data) {
			return nil, fmt.Errorf("%w: %s differs from the step count of the other arrays, %d", safetensors.ErrFormat, want.Name, g.updates)
		}
	}
	for i, st := range stacks {
		t, err := d.upload(st.data, st.shape())
		if err != nil {
			return nil, errors.Join(err, g.free())
		}
		list := []*[]*tensors.Tensor{&g.params, &g.m, &g.v}[i/len(g.arrays)]
		*list = append(*list, t)
	}
	return g, nil
}

// free gives the device's memory back.
func (n *networks) free(c Config) error {
	var errs []error
	for _, p := range n.files(c) {
		errs = append(errs, p.group.free())
	}
	return errors.Join(errs...)
}

// free gives the device's memory back.
func (g *paramGroup) free() error {
	var errs []error
	for _, t := range join(g.params, g.m, g.v) {
		if t != nil { // of a blank learner
			errs = append(errs, t.FinalizeAll())
		}
	}
	return errors.Join(errs...)
}

package model

import (
	"errors"
	"fmt"
	"io"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/cijepa/cijepa/model/safetensors"
)

// Snapshot copies the state. A device with memory of its own copies it there, which takes milliseconds; steps can go on, and the copy
// comes to the host beside them. Where there is no room for it, the state comes to the host at once.
func (l *Learner) Snapshot() (parts []Part, err error) {
	defer recovered(&err, "taking a snapshot")
	if l.lost != nil {
		return nil, fmt.Errorf("taking a snapshot: the state was lost before: %w", l.lost)
	}
	portions, copied := l.files(l.Config), false
	if l.device.client != nil {
		copies, err := l.copies()
		switch {
		case err == nil:
			portions, copied = copies, true
		case !ranOut(err):
			return nil, fmt.Errorf("taking a snapshot: %w", err)
		}
	}
	var fetches []func() error
	for _, p := range portions {
		part, fetch, err := p.part(l.device)
		if err != nil {
			return nil, fmt.Errorf("taking a snapshot: %w", err)
		}
		parts, fetches = append(parts, part), append(fetches, fetch)
	}
	fetch := func() error {
		var errs []error
		for i, fetch := range fetches {
			errs = append(errs, fetch())
			if copied {
				errs = append(errs, portions[i].group.free())
			}
		}
		return errors.Join(errs...)
	}
	if copied {
		go fetch() // what fails there, Part.Write tells
		return parts, nil
	}
	if err := fetch(); err != nil {
		return nil, fmt.Errorf("taking a snapshot: %w", err)
	}
	return parts, nil
}

// CompileSnapshot builds the programs with which Snapshot copies, ahead of their first use.
func (l *Learner) CompileSnapshot() (err error) {
	defer recovered(&err, "compiling the snapshot")
	if l.device.client == nil {
		return nil
	}
	encoder, predictor := arrayShapes(l.encoderArrays()), arrayShapes(l.predictorArrays())
	_, err = l.programs.copyExec.Compile(join(encoder, encoder, encoder)...)
	_, teacher := l.programs.copyExec.Compile(encoder...)
	_, predictors := l.programs.copyExec.Compile(join(predictor, predictor, predictor)...)
	if err = errors.Join(err, teacher, predictors); err != nil {
		return fmt.Errorf("compiling the snapshot: %w", err)
	}
	return nil
}

// copyArrays is a program that returns what it is given: its results are arrays of their own, unless they are donated.
func copyArrays(nodes []*graph.Node) []*graph.Node {
	copies := make([]*graph.Node, len(nodes))
	for i, node := range nodes {
		copies[i] = graph.Identity(node)
	}
	return copies
}

// copies are the portions of the state in other arrays on the device.
func (l *Learner) copies() (list []stateFile, err error) {
	for _, p := range l.files(l.Config) {
		var arguments []any
		for _, st := range p.stacked() {
			arguments = append(arguments, st.device)
		}
		outputs, err := l.programs.copyExec.Call(arguments...)
		if err != nil {
			for _, p := range list {
				err = errors.Join(err, p.group.free())
			}
			return nil, fmt.Errorf("copying %s on the device: %w", p.name, err)
		}
		g := &paramGroup{arrays: p.group.arrays, updates: p.group.updates}
		n := len(g.arrays)
		if g.params = outputs[:n]; len(outputs) > n {
			g.m, g.v = outputs[n:2*n], outputs[2*n:]
		}
		list = append(list, stateFile{p.name, p.prefix, g})
	}
	return list, nil
}

// part is a portion as a file, whose Write waits until fetch has brought the arrays to the host, and gives the error if it could not.
func (p stateFile) part(d *Device) (part Part, fetch func() error, err error) {
	stacks := p.stacked()
	arrays := p.arrays(stacks)
	header, err := safetensors.Header(arrays, formatMetadata)
	if err != nil {
		return Part{}, nil, err
	}
	size := int64(len(header))
	for _, a := range arrays {
		size += a.Size()
	}
	arrived, failed := make(chan struct{}), error(nil)
	fetch = func() (err error) {
		defer func() {
			failed = err
			close(arrived)
		}()
		defer recovered(&err, p.name)
		for i, st := range stacks {
			if stacks[i].data, err = d.download(st.device); err != nil {
				return fmt.Errorf("%s%s: %w", st.prefix, st.name, err)
			}
		}
		arrays = p.arrays(stacks)
		return nil
	}
	write := func(w io.Writer) error {
		if <-arrived; failed != nil {
			return failed
		}
		return safetensors.Write(w, arrays, formatMetadata)
	}
	return Part{p.name, size, write}, fetch, nil
}

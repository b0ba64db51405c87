package model

import (
	"errors"
	"fmt"
	"io"

	"github.com/gomlx/gomlx/core/graph"

	"github.com/cijepa/cijepa/model/safetensors"
)

// Snapshot copies the state; later steps do not change the parts. A device with memory of its own
// copies there, which takes milliseconds, and the copy comes to the host while steps go on. If
// there is no room for the copy, the state comes to the host before Snapshot returns.
func (l *Learner) Snapshot() (parts []Part, err error) {
	defer recovered(&err, "taking a snapshot")
	if l.lost != nil {
		return nil, fmt.Errorf("taking a snapshot: the state was lost before: %w", l.lost)
	}
	files, copied := l.files(l.Config), false
	if l.device.client != nil {
		copies, err := l.copies()
		switch {
		case err == nil:
			files, copied = copies, true
		case !ranOut(err):
			return nil, fmt.Errorf("taking a snapshot: %w", err)
		}
	}
	var fetches []func() error
	for _, f := range files {
		part, fetch, err := f.part(l.device)
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
				errs = append(errs, files[i].group.free())
			}
		}
		return errors.Join(errs...)
	}
	if copied {
		go fetch() // Part.Write returns its error
		return parts, nil
	}
	if err := fetch(); err != nil {
		return nil, fmt.Errorf("taking a snapshot: %w", err)
	}
	return parts, nil
}

// CompileSnapshot builds the programs of Snapshot ahead of their first use.
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

// copyArrays is a program that returns its inputs. Unless they are donated, the results are arrays
// of their own.
func copyArrays(nodes []*graph.Node) []*graph.Node {
	copies := make([]*graph.Node, len(nodes))
	for i, node := range nodes {
		copies[i] = graph.Identity(node)
	}
	return copies
}

// copies are the files of the state, with other arrays on the device.
func (l *Learner) copies() (list []stateFile, err error) {
	for _, f := range l.files(l.Config) {
		var arguments []any
		for _, t := range f.stacked() {
			arguments = append(arguments, t.tensor)
		}
		outputs, err := l.programs.copyExec.Call(arguments...)
		if err != nil {
			for _, f := range list {
				err = errors.Join(err, f.group.free())
			}
			return nil, fmt.Errorf("copying %s on the device: %w", f.name, err)
		}
		g := &paramGroup{arrays: f.group.arrays, updates: f.group.updates}
		n := len(g.arrays)
		if g.params = outputs[:n]; len(outputs) > n {
			g.m, g.v = outputs[n:2*n], outputs[2*n:]
		}
		list = append(list, stateFile{f.name, f.prefix, g})
	}
	return list, nil
}

// part is the file as a Part. Its Write waits until fetch has downloaded the arrays, and returns
// fetch's error if there was one.
func (f stateFile) part(d *Device) (part Part, fetch func() error, err error) {
	stacked := f.stacked()
	arrays := f.arrays(stacked)
	header, err := safetensors.Header(arrays, formatMetadata)
	if err != nil {
		return Part{}, nil, err
	}
	size := int64(len(header))
	for _, a := range arrays {
		size += a.Size()
	}
	fetched, failed := make(chan struct{}), error(nil)
	fetch = func() (err error) {
		defer func() {
			failed = err
			close(fetched)
		}()
		defer recovered(&err, f.name)
		for i, t := range stacked {
			if stacked[i].data, err = d.download(t.tensor); err != nil {
				return fmt.Errorf("%s%s: %w", t.prefix, t.name, err)
			}
		}
		arrays = f.arrays(stacked)
		return nil
	}
	write := func(w io.Writer) error {
		if <-fetched; failed != nil {
			return failed
		}
		return safetensors.Write(w, arrays, formatMetadata)
	}
	return Part{f.name, size, write}, fetch, nil
}

package model

import (
	"errors"
	"fmt"
	"io"

	"github.com/gomlx/gomlx/core/tensors"
)

// portion is the probe's state as a part of a checkpoint.
func (p *Probe) portion() portion { return portion{"probe.safetensors", "probe.", p.heads} }

// Parts copies the state of the probe to the host, without the encoder: one file, whose arrays are named
// probe.heads.0.weight [classes, D] and probe.heads.0.bias [classes] for the first collected depth, and adam.m/, adam.v/,
// adam.step/ before each name.
func (p *Probe) Parts() (parts []Part, err error) {
	defer recovered(&err, "copying the probe")
	if p.lost != nil {
		return nil, fmt.Errorf("copying the probe: the state was lost before: %w", p.lost)
	}
	part, err := p.portion().part()
	if err != nil {
		return nil, fmt.Errorf("copying the probe: %w", err)
	}
	return []Part{part}, nil
}

// Load replaces the state by the parts that `open` opens by name. If one cannot be read or does not fit, the probe is as
// it was, and the error wraps that of the reader.
func (p *Probe) Load(open func(part string) (io.ReadCloser, error)) (err error) {
	defer recovered(&err, "loading the probe")
	var made []*tensors.Tensor
	heads, err := p.portion().load(p.device, open, &made)
	if err != nil {
		for _, t := range made {
			err = errors.Join(err, t.FinalizeAll())
		}
		return fmt.Errorf("loading the probe: %w", err)
	}
	old := p.heads
	p.heads, p.lost = heads, nil
	var errs []error
	for _, t := range join(old.w, old.first, old.second) {
		errs = append(errs, t.FinalizeAll())
	}
	return errors.Join(errs...)
}

// part copies a portion to the host.
func (p portion) part() (Part, error) {
	stacks, err := p.stacks(func(_ array, on *tensors.Tensor) ([]byte, error) { return download(on) })
	if err != nil {
		return Part{}, err
	}
	arrays := p.counts(p.group.updates)
	for _, s := range stacks {
		arrays = append(arrays, s.named()...)
	}
	header, err := safetensorsHeader(arrays, formatMetadata)
	if err != nil {
		return Part{}, err
	}
	size := int64(len(header))
	for _, a := range arrays {
		size += int64(len(a.data))
	}
	return Part{p.name, size, func(w io.Writer) error { return writeSafetensors(w, arrays, formatMetadata) }}, nil
}

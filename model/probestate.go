package model

import (
	"fmt"
	"io"
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
	part, fetch, err := p.portion().part(p.device)
	if err == nil {
		err = fetch()
	}
	if err != nil {
		return nil, fmt.Errorf("copying the probe: %w", err)
	}
	return []Part{part}, nil
}

// Load replaces the state by the parts that `open` opens by name. If one cannot be read or does not fit, the probe is as
// it was, and the error wraps that of the reader.
func (p *Probe) Load(open func(part string) (io.ReadCloser, error)) (err error) {
	defer recovered(&err, "loading the probe")
	heads, err := p.portion().load(p.device, open)
	if err != nil {
		return fmt.Errorf("loading the probe: %w", err)
	}
	old := p.heads
	p.heads, p.lost = heads, nil
	return old.free()
}

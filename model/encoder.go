package model

import (
	"fmt"
	"io"
	"maps"

	"github.com/gomlx/gomlx/core/tensors"
)

// Encoder is an encoder in the memory of the host: a teacher of some moment, or an untrained one.
type Encoder struct {
	cfg    Config
	stacks []stack
}

// InitialEncoder is the encoder, student and teacher alike, from which a Learner with this seed begins.
func InitialEncoder(cfg Config, seed uint64) (*Encoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &Encoder{cfg: cfg}
	for i, a := range cfg.encoderArrays() {
		e.stacks = append(e.stacks, stack{array: a, data: initial(a, seed, studentSeed, i)})
	}
	return e, nil
}

// Encoder copies the teacher to the host.
func (l *Learner) Encoder() (e *Encoder, err error) {
	defer recovered(&err, "copying the teacher")
	if l.lost != nil {
		return nil, fmt.Errorf("copying the teacher: the state was lost before: %w", l.lost)
	}
	e = &Encoder{cfg: l.Config}
	for i, a := range l.encoderArrays() {
		data, err := download(l.teacher[i])
		if err != nil {
			return nil, fmt.Errorf("copying the teacher: %w", err)
		}
		e.stacks = append(e.stacks, stack{array: a, data: data})
	}
	return e, nil
}

// Export writes the encoder as safetensors under timm's names, which are the reference's: "blocks.0.attn.qkv.weight". The
// metadata are free, beside "format", which is set.
func (e *Encoder) Export(w io.Writer, metadata map[string]string) error {
	all := maps.Clone(formatMetadata)
	maps.Copy(all, metadata)
	return writeSafetensors(w, e.named(), all)
}

// ReadEncoder reads what Export wrote for an encoder of these sizes.
func ReadEncoder(cfg Config, r io.Reader) (*Encoder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &Encoder{cfg: cfg}
	for _, a := range cfg.encoderArrays() {
		e.stacks = append(e.stacks, stack{array: a, data: make([]byte, 4*a.size())})
	}
	if err := readSafetensors(r, e.named()); err != nil {
		return nil, fmt.Errorf("reading an encoder: %w", err)
	}
	return e, nil
}

func (e *Encoder) named() (list []namedArray) {
	for _, s := range e.stacks {
		list = append(list, s.named()...)
	}
	return list
}

// upload copies the encoder to a device, in the order of encoderArrays.
func (e *Encoder) upload(d *Device) (list []*tensors.Tensor, err error) {
	for _, s := range e.stacks {
		t, err := d.upload(s.data, s.shape())
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

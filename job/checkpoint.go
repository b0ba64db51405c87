package job

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/safetensors"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// progressPart is the part of a checkpoint that carries the figures of the run so far.
const progressPart = "progress.json"

// position is where a run stands: a phase, the updates done in it, and what these updates made.
type position struct {
	phase    string
	step     int64 // updates done in the phase
	keep     bool  // a checkpoint of this position is never deleted
	learner  *model.Learner
	probes   *probes
	progress *Progress
}

// restore finds the newest whole checkpoint and stands where it was taken; a run without one stands at its first step.
// A checkpoint that is damaged is passed over by storage, loudly, for the one before it.
func (j *Job) restore(ctx context.Context) (position, error) {
	j.live.Doing("restoring")
	at := position{phase: record.Pretraining}
	found, err := j.run.Restore(ctx, func(c checkpoint.Checkpoint) error {
		loaded := position{phase: c.Phase, step: c.Step}
		if err := machine.Interruptible(ctx, func() error { return j.load(&loaded, c) }); err != nil {
			return err // loaded may still be written to
		}
		if at.learner != nil { // of a checkpoint that has been left for a newer one: the memory is needed
			if err := at.learner.Close(); err != nil {
				return &machine.DeviceError{Err: err}
			}
		}
		at = loaded
		return nil
	})
	if err != nil {
		return at, fmt.Errorf("restoring: %w", err)
	}
	if found.Sequence == 0 {
		first := position{phase: record.Pretraining, progress: newProgress(j.cfg)}
		err := machine.Interruptible(ctx, func() (err error) {
			if first.learner, err = model.NewLearner(j.device, j.cfg.Model(), j.cfg.Seed); err != nil {
				err = &machine.DeviceError{Err: err}
			}
			return err
		})
		if err != nil {
			return at, err
		}
		j.recordEnvironment(first.progress)
		j.log.Info("begun")
		return first, nil
	}
	j.recordEnvironment(at.progress)
	at.progress.Fallbacks += j.run.Fallbacks()
	j.log.Info("resumed", "phase", at.phase, "step", at.step)
	return at, nil
}

// load fills a position with what a checkpoint holds.
func (j *Job) load(at *position, c checkpoint.Checkpoint) error {
	text, err := readPart(c, progressPart)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &at.progress); err != nil {
		return fmt.Errorf("%s: %w: %w", progressPart, storage.ErrCorrupt, err)
	}
	switch at.phase {
	case record.Pretraining:
		if at.learner, err = model.BlankLearner(j.device, j.cfg.Model()); err != nil {
			return &machine.DeviceError{Err: err}
		}
		masker, err := j.cfg.Model().Masker()
		if err != nil {
			return err
		}
		var programs errgroup.Group // they come from the bucket too, or take a compiler a minute
		programs.Go(func() error { return j.compileSteps(at.learner, masker.Shapes()) })
		err = at.learner.Load(func(part string) (io.ReadCloser, error) { return openPart(c, part) })
		if err = errors.Join(loading(err), programs.Wait()); err != nil {
			return errors.Join(err, at.learner.Close()) // another checkpoint needs the memory
		}
		return nil
	case record.Probing:
		at.probes, err = j.loadProbes(c)
		return err
	}
	return fmt.Errorf("%w: unknown phase %q: this run was written by another version of cijepa", storage.ErrCorrupt, at.phase)
}

// loading says whose fault it is that a part could not be loaded, where it is not the store's, which says so itself: of who wrote it, or of
// the device.
func loading(err error) error {
	switch {
	case errors.Is(err, safetensors.ErrFormat):
		return fmt.Errorf("%w: %w: a run of other settings, or another version, has written it", storage.ErrCorrupt, err)
	case errors.Is(err, model.ErrUpload):
		return &machine.DeviceError{Err: err}
	}
	return err
}

// upload takes a copy of the position, as a checkpoint to commit. On a device with memory of its own
// the copy is still on its way to the host when the next update begins.
func (at position) upload() (upload, error) {
	start := time.Now()
	parts, err := at.parts()
	return upload{step: at.step, keep: at.keep, parts: parts, pause: time.Since(start)}, err
}

func readPart(c checkpoint.Checkpoint, name string) ([]byte, error) {
	r, err := openPart(c, name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r)
	return text, errors.Join(err, r.Close())
}

// part is a part of a checkpoint as it is read. Its checksum is compared at its end, so a reader that gives up before it,
// over bytes that make no sense, learns on Close whether it was damage that it saw.
type part struct{ io.ReadCloser }

func openPart(c checkpoint.Checkpoint, name string) (io.ReadCloser, error) {
	r, err := c.Open(name)
	return part{r}, err
}

// Close reads the part to its end.
func (p part) Close() error {
	_, err := io.Copy(io.Discard, p.ReadCloser)
	return errors.Join(err, p.ReadCloser.Close())
}

// parts takes a copy of the whole position that later updates do not touch, ready to be committed.
func (at position) parts() ([]checkpoint.Part, error) {
	var held []model.Part
	switch at.phase {
	case record.Pretraining:
		state, err := at.learner.Snapshot()
		if err != nil {
			return nil, &machine.DeviceError{Err: err}
		}
		held = state.Parts()
	case record.Probing:
		var err error
		if held, err = at.probes.parts(); err != nil {
			return nil, &machine.DeviceError{Err: err}
		}
	}
	text, err := json.MarshalIndent(at.progress, "", "  ")
	if err != nil {
		return nil, err
	}
	parts := []checkpoint.Part{bytesPart(progressPart, text)}
	for _, p := range held {
		parts = append(parts, checkpoint.Part(p))
	}
	return parts, nil
}

// digest is the sha256 over the names and bytes of the model's parts, in order: two runs that agree in it agree in
// every weight, moment and count. It ends early with ctx.
func digest(ctx context.Context, parts []checkpoint.Part) (string, error) {
	h := sha256.New()
	for _, p := range parts {
		if p.Name == progressPart {
			continue // times and attempts differ between runs that computed the same
		}
		fmt.Fprintf(h, "%s %d\n", p.Name, p.Size)
		if err := p.Write(unlessEnded{ctx, h}); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// unlessEnded is a writer that fails once its context has ended.
type unlessEnded struct {
	ctx context.Context
	io.Writer
}

func (u unlessEnded) Write(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.Writer.Write(p)
}

// bytesPart is data as a part of a checkpoint.
func bytesPart(name string, data []byte) checkpoint.Part {
	return checkpoint.Part{Name: name, Size: int64(len(data)), Write: func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

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
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/safetensors"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// progressPart is the part of a checkpoint that holds its Progress.
const progressPart = "progress.json"

// position is where a run stands: a phase, the updates done in it, and the state after them.
type position struct {
	phase    string
	step     int64          // updates done in the phase
	keep     bool           // a checkpoint of this position is never deleted
	learner  *model.Learner // of pretraining
	probes   *probes        // of the probe
	progress *Progress
}

// restore loads the newest whole checkpoint. A run without a checkpoint begins with its initial
// state. storage/checkpoint passes over a damaged checkpoint for the one before it, and says so.
func (j *Job) restore(ctx context.Context) (position, error) {
	j.live.Doing("restoring")
	at := position{phase: record.Pretraining}
	found, err := j.run.Restore(ctx, func(c checkpoint.Checkpoint) error {
		loaded := position{phase: c.Phase, step: c.Step}
		if err := machine.Interruptible(ctx, func() error { return j.load(&loaded, c) }); err != nil {
			return err // an abandoned load may still write to loaded
		}
		if at.learner != nil { // of a checkpoint for which a newer one was found meanwhile
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
		if at, err = j.initial(ctx); err != nil {
			return at, err
		}
		j.log.Info("begun")
	} else {
		j.log.Info("resumed", "phase", at.phase, "step", at.step)
	}
	j.recordEnvironment(at.progress)
	at.progress.Fallbacks += j.run.Fallbacks()
	return at, nil
}

// initial is where a run without a checkpoint begins.
func (j *Job) initial(ctx context.Context) (position, error) {
	at := position{phase: record.Pretraining, progress: newProgress(j.cfg)}
	err := machine.Interruptible(ctx, func() (err error) {
		if j.probed != nil {
			at.phase = record.Probing
			at.probes, err = j.newProbes(j.probed.encoder)
			return err
		}
		if at.learner, err = model.NewLearner(j.device, j.cfg.Model(), j.cfg.Seed); err != nil {
			err = &machine.DeviceError{Err: err}
		}
		return err
	})
	if err != nil {
		return position{}, err // abandoned work may still write to at
	}
	return at, nil
}

// load fills a position from a checkpoint. The programs are compiled or fetched beside it.
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
		var programs errgroup.Group
		programs.Go(func() error { return j.compileSteps(at.learner, masker.Shapes()) })
		err = at.learner.Load(func(part string) (io.ReadCloser, error) { return openPart(c, part) })
		if err = errors.Join(loadError(err), programs.Wait()); err != nil {
			return errors.Join(err, at.learner.Close()) // the next try needs the memory
		}
		return nil
	case record.Probing:
		at.probes, err = j.loadProbes(c)
		return err
	}
	return fmt.Errorf("%w: unknown phase %q: this run was written by another version of cijepa", storage.ErrCorrupt, at.phase)
}

// checkStep refuses a position beyond the end of its phase: no run of these settings has been
// there, whatever the manifest says.
func checkStep(at position, total int64) error {
	if at.step <= total {
		return nil
	}
	return unsavable{fmt.Errorf("restoring: %w: the newest checkpoint is of update %d of phase %s, which has %d: "+
		"put the manifests back from a copy, or begin another %s", storage.ErrCorrupt, at.step, at.phase, total, settings.Variable("Run"))}
}

// loadError gives an error of loading a part its kind. Arrays of another network are damage; an
// upload that failed is the device's error; storage's own errors have their kind already.
func loadError(err error) error {
	switch {
	case errors.Is(err, safetensors.ErrFormat):
		return fmt.Errorf("%w: %w: a run of other settings, or another version, has written it", storage.ErrCorrupt, err)
	case errors.Is(err, model.ErrUpload):
		return &machine.DeviceError{Err: err}
	}
	return err
}

// upload takes a copy of the position, as a checkpoint to commit. On a device with memory of its
// own the copy is still on its way to the host when the next update begins.
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

// part reads a part of a checkpoint. The checksum is compared at the end of the part. Close reads
// to the end, so that a reader that gave up over senseless bytes learns whether they were damaged.
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

// parts copies the position into the parts of a checkpoint. Later updates do not change the copy.
func (at position) parts() ([]checkpoint.Part, error) {
	var held []model.Part
	var err error
	switch at.phase {
	case record.Pretraining:
		held, err = at.learner.Snapshot()
	case record.Probing:
		held, err = at.probes.parts()
	}
	if err != nil {
		return nil, &machine.DeviceError{Err: err}
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

// digest is the sha256 of the names, sizes and bytes of the model's parts, in order. Two runs with
// the same digest have the same weights, moments and counts. It ends early with ctx.
func digest(ctx context.Context, parts []checkpoint.Part) (string, error) {
	h := sha256.New()
	for _, p := range parts {
		if p.Name == progressPart {
			continue // times differ between runs that computed the same
		}
		fmt.Fprintf(h, "%s %d\n", p.Name, p.Size)
		if err := p.Write(unlessEnded{ctx, h}); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// unlessEnded is a writer that fails after the end of its context.
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

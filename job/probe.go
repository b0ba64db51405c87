package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/job/teacher"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/draw"
	"github.com/cijepa/cijepa/storage/checkpoint"
)

// probes are the two linear probes of a run: one on the frozen teacher, one on the encoder before
// its first update, to compare with. Both see the same batches. Data without labels has a teacher
// and no probe.
type probes struct {
	teacher            *model.Encoder
	trained, untrained *model.Probe
}

// newProbes makes the probes of a teacher. Both begin with the same weights.
func (j *Job) newProbes(teacher *model.Encoder) (*probes, error) {
	p := &probes{teacher: teacher}
	if j.data.Index.Unlabelled() {
		return p, nil
	}
	c := j.probeConfig()
	initial, err := model.InitialEncoder(j.cfg.Model(), j.cfg.Seed)
	if err != nil {
		return nil, err
	}
	if p.trained, err = model.NewProbe(j.device, j.cfg.Model(), c, teacher, j.cfg.Seed); err != nil {
		return nil, &machine.DeviceError{Err: err}
	}
	if p.untrained, err = model.NewProbe(j.device, j.cfg.Model(), c, initial, j.cfg.Seed); err != nil {
		return nil, &machine.DeviceError{Err: err}
	}
	return p, nil
}

func (j *Job) probeConfig() model.ProbeConfig {
	return model.ProbeConfig{Classes: len(j.data.Index.Classes), Batch: j.cfg.ProbeBatch, LR: j.cfg.ProbeLR}
}

// namedProbe is a probe with the prefix of its parts in a checkpoint.
type namedProbe struct {
	prefix string
	probe  *model.Probe
}

// named returns the probes that there are.
func (p *probes) named() []namedProbe {
	if p.trained == nil {
		return nil
	}
	return []namedProbe{{"trained-", p.trained}, {"untrained-", p.untrained}}
}

// loadProbes loads both probes and their teacher from a checkpoint.
func (j *Job) loadProbes(c checkpoint.Checkpoint) (*probes, error) {
	r, err := openPart(c, teacher.File)
	if err != nil {
		return nil, err
	}
	teacher, err := model.ReadEncoder(j.cfg.Model(), r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, loadError(err)
	}
	p, err := j.newProbes(teacher)
	if err != nil {
		return nil, err
	}
	for _, n := range p.named() {
		if err := n.probe.Load(func(part string) (io.ReadCloser, error) { return openPart(c, n.prefix+part) }); err != nil {
			return nil, loadError(err)
		}
	}
	return p, nil
}

// parts copies the teacher and both probes.
func (p *probes) parts() ([]model.Part, error) {
	teacher, err := exported(p.teacher, nil)
	if err != nil {
		return nil, err
	}
	all := []model.Part{teacher}
	for _, n := range p.named() {
		parts, err := n.probe.Parts()
		if err != nil {
			return nil, err
		}
		for _, part := range parts {
			part.Name = n.prefix + part.Name
			all = append(all, part)
		}
	}
	return all, nil
}

// compile passes one black image, of so many bytes, through each encoder.
func (p *probes) compile(imageBytes int) error {
	for _, n := range p.named() {
		if _, err := n.probe.Features(make([]byte, imageBytes)); err != nil {
			return fmt.Errorf("compiling the probe: %w", &machine.DeviceError{Err: err})
		}
	}
	return nil
}

// exported is the part that holds an encoder, its arrays named as timm names them.
func exported(e *model.Encoder, metadata map[string]string) (model.Part, error) {
	var size counter
	err := e.Export(&size, metadata)
	return model.Part{Name: teacher.File, Size: int64(size), Write: func(w io.Writer) error { return e.Export(w, metadata) }}, err
}

// counter is a writer that counts bytes.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// probed is the teacher of a probe that is no phase of a run.
type probed struct {
	name    string         // of the probe
	encoder *model.Encoder // nil before readTeacher
	said    *record.Teacher
}

// openFolder gives access to the folder of the run or of the probe.
func (j *Job) openFolder() *checkpoint.Run {
	if j.probed != nil {
		return checkpoint.OpenProbe(j.bucket, j.cfg.Run, j.probed.name, machine.HostName(), j.log)
	}
	return checkpoint.OpenRun(j.bucket, j.cfg.Run, machine.HostName(), j.log)
}

// readTeacher reads the teacher that the settings name, for a probe that is no phase of a run. A
// name without an encoder is an *settings.Error.
func (j *Job) readTeacher(ctx context.Context) (err error) {
	if j.probed == nil {
		return nil
	}
	j.live.Doing("reading the teacher")
	p := j.probed
	p.encoder, p.said, err = teacher.Open(ctx, j.bucket, j.cfg.Teacher, j.cfg.Model(), j.storageOptions())
	switch {
	case errors.Is(err, teacher.ErrNone):
		return settings.NewError("Teacher", j.cfg.Teacher, err.Error())
	case err != nil:
		return fmt.Errorf("reading the teacher: %w", err)
	}
	j.log.Info("teacher", "from", p.said.From, "step", p.said.Step, "sha256", p.said.SHA256)
	return nil
}

// checkTeacher returns an *settings.Error if a probe's record names another teacher than this
// attempt's settings. The checksum is compared once the teacher has been read.
func (j *Job) checkTeacher(stored *record.Teacher) error {
	if j.probed == nil {
		return nil
	}
	want := record.Teacher{From: j.cfg.Teacher.Place(), Step: j.cfg.Teacher.Step}
	if said := j.probed.said; said != nil {
		want.SHA256 = said.SHA256
	} else if stored != nil {
		want.SHA256 = stored.SHA256
	}
	which := ""
	if stored != nil {
		if *stored == want {
			return nil
		}
		which = fmt.Sprintf(" (%s, step %d, sha256 %.12s)", stored.From, stored.Step, stored.SHA256)
	}
	return settings.NewError("Teacher", j.cfg.Teacher, fmt.Sprintf("%s is of another teacher%s; set it back, or choose another %s",
		j.run.ResultKey(), which, settings.Variable("Run")))
}

// probe trains what is left of the two probes and scores them on the validation split.
func (j *Job) probe(ctx context.Context, at *position) (scores, error) {
	p, err := j.newProbing(ctx, at)
	if err != nil {
		return scores{}, err
	}
	batches := p.loader.Batches(ctx, at.step, p.total)
	if err := run(ctx, j.newLoop(*at, p.phase()), at, batches, func(b *input.Batch) (taken, error) {
		return p.update(at.probes, b)
	}); err != nil {
		return scores{}, err
	}
	at.keep = true
	if err := j.saver.finish(ctx, *at, nil); err != nil {
		return scores{}, err
	}
	return j.score(ctx, at.probes)
}

// probing is what the updates of the probes take beside the position.
type probing struct {
	job    *Job
	loader *input.Loader
	share  *input.Share // of the labels; nil: all are used
	before []int        // undecodable images of the split that were known before
	total  int64
	losses [2]float64 // of the trained and the untrained encoder's probe, in the newest update
	lr     float64    // of the newest update
}

// newProbing opens the train split and compiles the probe.
func (j *Job) newProbing(ctx context.Context, at *position) (*probing, error) {
	crop := pixels.ProbeCrop()
	crop.Scale = j.cfg.ProbeCropScale
	loader, share, err := j.probeLoader(machine.TrainSplit, input.Config{
		Size: j.cfg.Image, Batch: j.cfg.ProbeBatch, Shuffle: true, KeepPartial: true, Crop: crop, Bad: at.progress.Bad,
		Seed: draw.New(j.cfg.Seed, record.Probing).Uint64(), // other orders and crops than in pretraining
	})
	if err != nil {
		return nil, err
	}
	total := loader.StepsPerEpoch() * int64(j.cfg.ProbeEpochs)
	if err := checkStep(*at, total); err != nil {
		return nil, err
	}
	j.live.Doing("compiling the probe")
	if err := machine.Interruptible(ctx, func() error { return at.probes.compile(j.imageBytes()) }); err != nil {
		return nil, err
	}
	if j.programs.UsesLocalPrograms() {
		j.recordEnvironment(at.progress)
	}
	if j.cfg.ProbeWhiten {
		if err := j.whiten(ctx, at.probes); err != nil {
			return nil, err
		}
	}
	return &probing{
		job: j, loader: loader, share: share, before: at.progress.Bad, total: total,
	}, nil
}

// whitenImages is the number of training images, rounded up to whole batches, by whose features
// both encoders' are whitened.
const whitenImages = 1000

// whiten whitens the features of both probes by those of the first training images that they may
// see, cut at the centre. Every attempt computes the same map again.
func (j *Job) whiten(ctx context.Context, p *probes) error {
	j.live.Doing("whitening the features of the probe")
	wholeBatches := (whitenImages + j.cfg.ProbeBatch - 1) / j.cfg.ProbeBatch
	samples := make([][]float32, len(p.named()))
	for batch, err := range j.evaluationBatches(ctx, machine.TrainSplit, wholeBatches*j.cfg.ProbeBatch) {
		if err != nil {
			return err
		}
		for i, n := range p.named() {
			features, err := n.probe.Features(batch.Images)
			if err != nil {
				return fmt.Errorf("features: %w", &machine.DeviceError{Err: err})
			}
			samples[i] = append(samples[i], features...)
		}
	}
	for i, n := range p.named() {
		if err := n.probe.Whiten(samples[i]); err != nil {
			return err
		}
	}
	return nil
}

// bad are the undecodable images of the split.
func (p *probing) bad() []int {
	if p.share == nil {
		return p.loader.Bad()
	}
	all := slices.Concat(p.before, p.share.Outside(p.loader.Bad()))
	slices.Sort(all)
	return slices.Compact(all)
}

// phase is the probe as the loop sees it.
func (p *probing) phase() *phase {
	return &phase{
		total: p.total, perEpoch: p.loader.StepsPerEpoch(), batch: p.job.cfg.ProbeBatch, bad: p.bad,
		line: func(position) record.Step { return record.Step{Loss: record.Finite(p.losses[0]), LR: p.lr} },
		keep: func(step int64) bool { return step == p.total },
	}
}

// update takes one update of both probes on the same batch.
func (p *probing) update(probes *probes, b *input.Batch) (taken, error) {
	images := b.Images[:b.N*p.job.imageBytes()]
	p.lr = p.job.probeConfig().LRAt(b.Step+1, p.total)
	for i, n := range probes.named() {
		losses, err := n.probe.Step(images, b.Labels[:b.N], p.lr)
		if err != nil {
			return taken{}, fmt.Errorf("update %d of the probe: %w", b.Step+1, &machine.DeviceError{Err: err})
		}
		p.losses[i] = losses[len(losses)-1]
	}
	return taken{step: b.Step + 1, loss: p.losses[0], images: b.N, wait: b.Wait}, nil
}

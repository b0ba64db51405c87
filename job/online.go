package job

import (
	"context"
	"fmt"
	"time"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/classify"
)

// What a look of the online probe is made of. At full size it takes 6,000 images through the encoder, at 35 GFLOP each where
// an update takes 128 for each of its own: 0.26 % of the work of five epochs, 0.41 % of the baseline's.
const (
	onlineImages   = 1000    // of the validation split, to be classified
	onlinePerClass = 50      // of the train split, to learn from
	onlineBank     = 5000    // of them, at most
	onlineMemory   = 1 << 30 // bytes of decoded images that are kept; there are fewer where they are larger
)

// online looks at the teacher every few epochs: a linear classifier and a kNN on its deepest features, both in closed form,
// learn from a bank of training images and are scored on held-out ones, the same all through a run. The images are decoded once
// an attempt, while the programs compile, and kept. Training stands still while the encoder reads them; the host solves
// the rest beside the updates that follow. Nothing that a look does reaches the state.
type online struct {
	job          *Job
	every, total int64 // updates between looks, and of the run; every = 0: no looks
	progress     *Progress

	bank, asked samples
	decoded     chan error // of the goroutine that fills bank and asked
	cancel      context.CancelFunc

	solving chan record.Eval // of the look in hand; nil: there is none
}

// samples are images with their classes, and what the teacher makes of them.
type samples struct {
	images []byte // [n, S, S, 3]
	labels []int32
}

// newOnline begins to decode the images. The caller closes it.
func (j *Job) newOnline(ctx context.Context, p *Progress, perEpoch, total int64) *online {
	o := &online{job: j, every: int64(j.cfg.EvalEvery) * perEpoch, total: total, progress: p, decoded: make(chan error, 1)}
	ctx, o.cancel = context.WithCancel(ctx)
	go func() {
		defer close(o.decoded)
		if o.every > 0 {
			o.decoded <- o.decode(ctx)
		}
	}()
	return o
}

// close ends the decoding. A look that is still being solved is left behind.
func (o *online) close() {
	o.cancel()
	for range o.decoded { // the goroutine reads from the cache, which is closed next
	}
}

// decode fills in both sets.
func (o *online) decode(ctx context.Context) (err error) {
	image := o.job.cfg.Image * o.job.cfg.Image * 3
	room := max(2, onlineMemory/image)
	asked := min(onlineImages, room/2)
	if o.asked, err = o.job.samples(ctx, machine.ValidationSplit, asked); err != nil {
		return err
	}
	o.bank, err = o.job.samples(ctx, machine.TrainSplit, min(onlineBank, onlinePerClass*len(o.job.data.Index.Classes), room-asked))
	return err
}

// samples decodes n images of a split, spread evenly over its classes, as they are cut for evaluation.
func (j *Job) samples(ctx context.Context, split string, n int) (s samples, err error) {
	source, err := j.cache.Split(split)
	if err != nil {
		return s, err
	}
	chosen := subset{source, spread(j.data.Index.Splits[split], len(j.data.Index.Classes), n)}
	// A look must not end a run, so images that cannot be decoded are replaced however many there are.
	loader, err := input.NewLoader(chosen, input.Config{
		Size: j.cfg.Image, Batch: min(healthImages, len(chosen.places)), KeepPartial: true, Crop: pixels.EvaluationCrop(j.cfg.Image), BadLimit: 1, Log: j.log.With("split", split),
	})
	if err != nil {
		return s, err
	}
	image := j.cfg.Image * j.cfg.Image * 3
	s.images = make([]byte, 0, len(chosen.places)*image)
	for b, err := range loader.Batches(ctx, 0, loader.StepsPerEpoch()) {
		if err != nil {
			return s, err
		}
		s.images = append(s.images, b.Images[:b.N*image]...)
		s.labels = append(s.labels, b.Labels[:b.N]...)
	}
	return s, nil
}

// look reads the features of the teacher between two updates, when a look is due and has not been taken yet, and has the
// rest solved beside training. It can be interrupted between two passes; the attempt that goes on from here takes the look.
func (o *online) look(ctx context.Context, monitor *model.Monitor, at position) error {
	due := o.every > 0 && (at.step%o.every == 0 || at.step == o.total)
	if done := at.progress.Online; !due || done != nil && done.Step >= at.step {
		return nil
	}
	if err := o.settle(ctx); err != nil {
		return err
	}
	begin := time.Now()
	select {
	case err := <-o.decoded:
		if err != nil {
			return fmt.Errorf("reading the images of the online probe: %w", err)
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	known, err := o.features(ctx, monitor, at.learner, o.bank.images)
	if err != nil {
		return err
	}
	asked, err := o.features(ctx, monitor, at.learner, o.asked.images)
	if err != nil {
		return err
	}
	line := record.Eval{Step: at.step, Epoch: at.step / o.perEpoch(), Bank: len(o.bank.labels), Images: len(o.asked.labels), Seconds: time.Since(begin).Seconds()}
	solving := make(chan record.Eval, 1)
	o.solving = solving
	go func() { solving <- o.solve(line, known, asked) }()
	return nil
}

func (o *online) perEpoch() int64 { return o.every / int64(o.job.cfg.EvalEvery) }

// features gives the teacher's deepest features of images.
func (o *online) features(ctx context.Context, monitor *model.Monitor, learner *model.Learner, images []byte) (all []float32, err error) {
	size := o.job.cfg.Image * o.job.cfg.Image * 3
	for first := 0; first < len(images); first += monitor.Batch() * size {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		some, err := monitor.TeacherFeatures(learner, images[first:min(first+monitor.Batch()*size, len(images))])
		if err != nil {
			return nil, &machine.DeviceError{err}
		}
		all = append(all, some...)
	}
	return all, nil
}

// solve classifies the held-out images.
func (o *online) solve(line record.Eval, known, asked []float32) record.Eval {
	begin := time.Now()
	cfg, classes := o.job.cfg, len(o.job.data.Index.Classes)
	right := func(answers []int32) float64 {
		n := 0
		for i, answer := range answers {
			if answer == o.asked.labels[i] {
				n++
			}
		}
		return 100 * float64(n) / float64(len(answers))
	}
	line.ProbeTop1 = right(classify.Ridge(known, o.bank.labels, asked, cfg.Width, classes))
	if cfg.KNNK > 0 {
		line.KNNTop1 = settings.Finite(right(classify.NearestNeighbours(known, o.bank.labels, asked, cfg.Width, cfg.KNNK, classes)))
	}
	line.Solving = time.Since(begin).Seconds()
	return line
}

// busy takes note of a look that has been solved, and says whether one is still in hand.
func (o *online) busy() (bool, error) {
	select {
	case line := <-o.solving:
		return false, o.enter(line)
	default:
		return o.solving != nil, nil
	}
}

// settle waits for the look in hand: what is saved then holds it.
func (o *online) settle(ctx context.Context) error {
	if o.solving == nil {
		return nil
	}
	select {
	case line := <-o.solving:
		return o.enter(line)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// solvingPatience is how long a stop waits for the look in hand: at full size both classifiers take a few seconds of one
// core. A look that takes longer is lost, and nothing but the look.
const solvingPatience = 3 * time.Second

// stop waits a moment for the look in hand.
func (o *online) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), solvingPatience)
	defer cancel()
	if err := o.settle(ctx); err != nil {
		o.job.log.Warn("the look of the online probe is lost", "error", err)
	}
}

// enter puts a look into the log and the journal.
func (o *online) enter(line record.Eval) error {
	o.solving = nil
	o.progress.Online = &line
	o.job.log.Info("online probe", "epoch", line.Epoch, "step", line.Step, "top1", line.ProbeTop1, "knn_top1", line.KNNTop1, "seconds", line.Seconds, "solving_seconds", line.Solving)
	return o.job.journal.add(record.Evals, line)
}

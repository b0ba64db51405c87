package job

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/classify"
	"github.com/cijepa/cijepa/storage/shards"
)

// The size of an online evaluation. At full size 6,000 images pass through the encoder at 35 GFLOPs
// each. That is 0.26 % of the FLOPs of five epochs, and 0.41 % of the baseline's.
const (
	evalQueries  = 1000    // validation images that are classified
	evalPerClass = 50      // training images of a class to learn from
	evalBank     = 5000    // training images in all, at most
	evalMemory   = 1 << 30 // bytes of decoded images that are kept; larger images are fewer
)

// evaluator scores the teacher every few epochs. A linear classifier and a kNN learn in closed form
// from the deepest features of a bank of training images and classify validation images, the same
// ones all through a run. The images are decoded once an attempt, while the programs compile.
// Updates stop while the encoder reads the images; the host fits both classifiers beside the
// updates that follow. An evaluation changes nothing of the state.
type evaluator struct {
	job      *Job
	perEpoch int64 // updates of an epoch
	every    int64 // updates between evaluations; 0: none
	total    int64 // updates of pretraining
	progress *Progress

	bank, queries samples
	decoded       chan error // of the goroutine that fills bank and queries
	cancel        context.CancelFunc

	fitted chan record.Eval // of the running evaluation; nil: none is running
}

// samples are decoded images and their classes.
type samples struct {
	images []byte // [n, S, S, 3]
	labels []int32
}

// newEvaluator begins to decode the images. The caller closes it.
func (j *Job) newEvaluator(ctx context.Context, p *Progress, perEpoch, total int64) *evaluator {
	e := &evaluator{
		job: j, perEpoch: perEpoch, every: int64(j.cfg.EvalEvery) * perEpoch, total: total, progress: p,
		decoded: make(chan error, 1),
	}
	if j.data.Index.Unlabelled() {
		e.every = 0
	}
	ctx, e.cancel = context.WithCancel(ctx)
	go func() {
		defer close(e.decoded)
		if e.every > 0 {
			e.decoded <- e.decode(ctx)
		}
	}()
	return e
}

// close ends the decoding. Classifiers that are still being fitted are abandoned.
func (e *evaluator) close() {
	e.cancel()
	for range e.decoded { // the goroutine reads from the cache, which is closed next
	}
}

// decode fills bank and queries.
func (e *evaluator) decode(ctx context.Context) (err error) {
	most := max(2, evalMemory/e.job.imageBytes())
	queries := min(evalQueries, most/2)
	if e.queries, err = e.job.samples(ctx, machine.ValidationSplit, queries); err != nil {
		return err
	}
	bank := min(evalBank, evalPerClass*len(e.job.data.Index.Classes), most-queries)
	e.bank, err = e.job.samples(ctx, machine.TrainSplit, bank)
	return err
}

// samples decodes n images of a split, spread evenly over its classes, cropped as for evaluation.
func (j *Job) samples(ctx context.Context, split string, n int) (s samples, err error) {
	source, err := j.cache.Split(split)
	if err != nil {
		return s, err
	}
	chosen := subset{source, spread(j.data.Index.Splits[split], len(j.data.Index.Classes), n)}
	// An evaluation must not end a run, so any number of undecodable images is replaced.
	loader, err := input.NewLoader(chosen, input.Config{
		Size: j.cfg.Image, Batch: min(healthImages, len(chosen.samples)), KeepPartial: true,
		Crop: pixels.EvaluationCrop(j.cfg.Image), BadLimit: 1, Log: j.log.With("split", split),
	})
	if err != nil {
		return s, err
	}
	image := j.imageBytes()
	s.images = make([]byte, 0, len(chosen.samples)*image)
	for b, err := range loader.Batches(ctx, 0, loader.StepsPerEpoch()) {
		if err != nil {
			return s, err
		}
		s.images = append(s.images, b.Images[:b.N*image]...)
		s.labels = append(s.labels, b.Labels[:b.N]...)
	}
	return s, nil
}

// evaluate reads the teacher's features between two updates, when an evaluation is due and has not
// been taken yet, and starts fitting the classifiers. A stop interrupts it between two passes; the
// next attempt then takes the evaluation.
func (e *evaluator) evaluate(ctx context.Context, monitor *model.Monitor, at position) error {
	due := e.every > 0 && (at.step%e.every == 0 || at.step == e.total)
	if newest := at.progress.Eval; !due || newest != nil && newest.Step >= at.step {
		return nil
	}
	if err := e.wait(ctx); err != nil {
		return err
	}
	begin := time.Now()
	select {
	case err := <-e.decoded:
		if err != nil {
			return fmt.Errorf("reading the images of the online evaluation: %w", err)
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	bank, err := e.features(ctx, monitor, at.learner, e.bank.images)
	if err != nil {
		return err
	}
	queries, err := e.features(ctx, monitor, at.learner, e.queries.images)
	if err != nil {
		return err
	}
	line := record.Eval{
		Step: at.step, Epoch: at.step / e.perEpoch, Bank: len(e.bank.labels), Images: len(e.queries.labels),
		Seconds: time.Since(begin).Seconds(),
	}
	fitted := make(chan record.Eval, 1)
	e.fitted = fitted
	go func() { fitted <- e.fit(line, bank, queries) }()
	return nil
}

// features returns the teacher's deepest features of images: [n, D].
func (e *evaluator) features(ctx context.Context, monitor *model.Monitor, learner *model.Learner, images []byte) (all []float32, err error) {
	for pass := range slices.Chunk(images, monitor.Batch()*e.job.imageBytes()) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		some, err := monitor.TeacherFeatures(learner, pass)
		if err != nil {
			return nil, &machine.DeviceError{Err: err}
		}
		all = append(all, some...)
	}
	return all, nil
}

// fit fits both classifiers to the bank and scores them on the queries.
func (e *evaluator) fit(line record.Eval, bank, queries []float32) record.Eval {
	begin := time.Now()
	cfg, classes := e.job.cfg, len(e.job.data.Index.Classes)
	line.ProbeTop1 = top1(classify.Ridge(bank, e.bank.labels, queries, cfg.Width, classes), e.queries.labels)
	if cfg.KNNK > 0 {
		nearest := classify.NearestNeighbours(bank, e.bank.labels, queries, cfg.Width, cfg.KNNK, classes)
		line.KNNTop1 = record.Finite(top1(nearest, e.queries.labels))
	}
	line.Solving = time.Since(begin).Seconds()
	return line
}

// pending says whether an evaluation is still running, and records one that has ended.
func (e *evaluator) pending() (bool, error) {
	select {
	case line := <-e.fitted:
		return false, e.add(line)
	default:
		return e.fitted != nil, nil
	}
}

// wait waits for the running evaluation, so that a checkpoint that is copied next includes it.
func (e *evaluator) wait(ctx context.Context) error {
	if e.fitted == nil {
		return nil
	}
	select {
	case line := <-e.fitted:
		return e.add(line)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fitTimeout is how long a stop waits for the running evaluation. At full size both classifiers
// take one core a few seconds. An evaluation that takes longer is lost, and nothing else.
const fitTimeout = 3 * time.Second

// stop waits a moment for the running evaluation.
func (e *evaluator) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), fitTimeout)
	defer cancel()
	if err := e.wait(ctx); err != nil {
		e.job.log.Warn("the running evaluation is lost", "error", err)
	}
}

// add puts a finished evaluation into the progress, the log and the journal.
func (e *evaluator) add(line record.Eval) error {
	e.fitted = nil
	e.progress.Eval = &line
	e.job.log.Info("evaluation", "epoch", line.Epoch, "step", line.Step, "top1", line.ProbeTop1, "knn_top1", line.KNNTop1, "seconds", line.Seconds, "solving_seconds", line.Solving)
	return e.job.journal.add(record.Evals, line)
}

// sample is the place of one image of a split.
type sample struct{ shard, sample int }

// spread chooses up to n samples of a split, as evenly over its classes as their order allows: the
// first ones of every class. Where classes are mixed, as in what this program packs, they lie in
// the first few shards.
func spread(split []shards.Shard, classes, n int) []sample {
	most := (n + classes - 1) / classes
	taken := make([]int, classes)
	var chosen []sample
	for i, shard := range split {
		for k, label := range shard.Samples.Labels {
			if len(chosen) == n {
				return chosen
			}
			if taken[label] < most {
				taken[label]++
				chosen = append(chosen, sample{i, k})
			}
		}
	}
	return chosen
}

// subset is a split of which only some samples are read, as one shard.
type subset struct {
	split   input.Source
	samples []sample
}

// Samples is the size of the one shard.
func (s subset) Samples() []int { return []int{len(s.samples)} }

// Ahead does nothing: the cache follows the order in which training needs the shards.
func (s subset) Ahead([]int) {}

// View passes a sample of the split to f.
func (s subset) View(ctx context.Context, _, i int, f func(key string, label int, image []byte) error) error {
	at := s.samples[i]
	return s.split.View(ctx, at.shard, at.sample, f)
}

package job

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/predictions"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/classify"
	"github.com/cijepa/cijepa/storage/shards"
)

// scores are what the validation split said.
type scores struct {
	predictions.Predictions
	ridge           *record.Ridge          // nil: not asked for
	nearest         [][]classify.Neighbour // of the images that are shown, by the teacher; nil: no kNN
	seconds, device float64                // of scoring, and of it in programs of the device
}

// score runs both probes, and the kNN at the deepest depth, over the validation split.
func (j *Job) score(ctx context.Context, p *probes) (scores, error) {
	s := scores{Predictions: predictions.Predictions{Classes: len(j.data.Index.Classes), Depths: j.cfg.Depths}}
	j.live.Doing("scoring the probe")
	j.log.Info("scoring", "images", j.data.Index.Counts[machine.ValidationSplit]) // silent for minutes on few cores
	start, busy := time.Now(), j.device.Busy()
	s.Probe, s.UntrainedProbe = make([]classify.Answers, len(s.Depths)), make([]classify.Answers, len(s.Depths))
	for batch, err := range j.evaluationBatches(ctx, machine.ValidationSplit, 0) {
		if err != nil {
			return s, err
		}
		for _, n := range []struct {
			probe *model.Probe
			into  []classify.Answers
		}{{p.trained, s.Probe}, {p.untrained, s.UntrainedProbe}} {
			answers, err := n.probe.Classify(batch.Images, batch.Labels)
			if err != nil {
				return s, fmt.Errorf("scoring: %w", &machine.DeviceError{Err: err})
			}
			for depth, a := range answers {
				n.into[depth].Append(a)
			}
		}
		s.Labels = append(s.Labels, batch.Labels...)
	}
	if len(s.Labels) == 0 {
		return s, errors.New("the validation split is empty")
	}
	if j.cfg.KNNK > 0 {
		if err := j.scoreFeatures(ctx, p, &s); err != nil {
			return s, err
		}
	}
	s.seconds, s.device = time.Since(start).Seconds(), (j.device.Busy() - busy).Seconds()
	return s, nil
}

// evaluationLoader reads a split in its own order, resized and cut at the centre. The share is
// probeLoader's.
func (j *Job) evaluationLoader(split string) (*input.Loader, *input.Share, error) {
	return j.probeLoader(split, input.Config{
		Size: j.cfg.Image, Batch: j.cfg.ProbeBatch, KeepPartial: true, Crop: pixels.EvaluationCrop(j.cfg.Image),
	})
}

// evaluationBatches yields the first n images of evaluationLoader; n = 0 means all. The images and
// labels of a batch are its N samples and nothing else.
func (j *Job) evaluationBatches(ctx context.Context, split string, n int) iter.Seq2[input.Batch, error] {
	return func(yield func(input.Batch, error) bool) {
		loader, _, err := j.evaluationLoader(split)
		if err != nil {
			yield(input.Batch{}, err)
			return
		}
		steps, batch := loader.StepsPerEpoch(), j.cfg.ProbeBatch
		if n > 0 {
			steps = min(steps, int64((n-1)/batch+1))
		}
		for b, err := range loader.Batches(ctx, 0, steps) {
			if err != nil {
				yield(input.Batch{}, err)
				return
			}
			own := *b
			if n > 0 {
				own.N = min(own.N, n-int(own.Step)*batch)
			}
			own.Images, own.Labels = own.Images[:own.N*j.imageBytes()], own.Labels[:own.N]
			if !yield(own, nil) {
				return
			}
			j.live.Moved()
		}
	}
}

// imageBytes is the size of a decoded image, [S, S, 3].
func (j *Job) imageBytes() int { return j.cfg.Image * j.cfg.Image * 3 }

// features are those of the images that the kNN compares, [n, width] each.
type features struct {
	bank, validation []float32
	labels           []int32 // of the bank
}

// scoreFeatures asks the kNN, and ridge regression where it is wanted, at the deepest depth. It
// takes one encoder after the other, as the features of both may not fit into memory.
func (j *Job) scoreFeatures(ctx context.Context, p *probes, s *scores) error {
	s.KNNDepths = s.Depths[len(s.Depths)-1:]
	if j.cfg.ProbeWhiten && j.cfg.Image <= maxFloorImage {
		var err error
		if s.ridge, err = j.ridgeOfImages(ctx, s.Labels); err != nil {
			return err
		}
	}
	f, err := j.deepestFeatures(ctx, p.trained)
	if err != nil {
		return err
	}
	s.nearest = j.nearest(f.bank, f.validation)
	if s.KNN, err = j.neighbours(ctx, f, s.Labels); err != nil {
		return err
	}
	if s.ridge != nil {
		s.ridge.Top1 = j.ridge(f, s.Labels)
	}
	if f, err = j.deepestFeatures(ctx, p.untrained); err != nil {
		return err
	}
	if s.UntrainedKNN, err = j.neighbours(ctx, f, s.Labels); err != nil {
		return err
	}
	if s.ridge != nil {
		s.ridge.UntrainedTop1 = j.ridge(f, s.Labels)
	}
	return nil
}

// deepestFeatures computes the pooled features of the deepest depth.
func (j *Job) deepestFeatures(ctx context.Context, p *model.Probe) (f features, err error) {
	if f.bank, f.labels, err = j.splitFeatures(ctx, p, machine.TrainSplit, j.cfg.KNNBank); err != nil {
		return f, err
	}
	f.validation, _, err = j.splitFeatures(ctx, p, machine.ValidationSplit, 0)
	return f, err
}

// neighbours are the answers of the kNN for the validation split, whose labels it is given.
func (j *Job) neighbours(ctx context.Context, f features, labels []int32) ([]classify.Answers, error) {
	var all classify.Answers
	j.live.Doing("comparing neighbours")
	err := machine.Interruptible(ctx, func() error {
		queries := f.validation
		for len(labels) > 0 { // in slices: on few cores all queries take longer than the watchdog allows
			n := min(knnSlice, len(labels))
			all.Append(classify.RankNeighbours(f.bank, f.labels, queries[:n*j.cfg.Width], labels[:n], j.cfg.Width, j.cfg.KNNK, len(j.data.Index.Classes)))
			queries, labels = queries[n*j.cfg.Width:], labels[n:]
			j.live.Moved()
		}
		return nil
	})
	if err != nil {
		return nil, err // an abandoned search may still append to all
	}
	return []classify.Answers{all}, nil
}

// knnSlice is the number of queries between two signs of progress.
const knnSlice = 1000

// splitFeatures returns the pooled features of the deepest depth, [n, D], and the labels of the
// first n samples of a split; n = 0 means all.
func (j *Job) splitFeatures(ctx context.Context, p *model.Probe, split string, n int) (pooled []float32, labels []int32, err error) {
	depths, width := len(j.cfg.Depths), j.cfg.Width
	for batch, err := range j.evaluationBatches(ctx, split, n) {
		if err != nil {
			return nil, nil, err
		}
		f, err := p.Features(batch.Images) // [N, L, D]
		if err != nil {
			return nil, nil, fmt.Errorf("features: %w", &machine.DeviceError{Err: err})
		}
		for i := range batch.N {
			pooled = append(pooled, f[(i*depths+depths-1)*width:(i+1)*depths*width]...)
		}
		labels = append(labels, batch.Labels...)
	}
	return pooled, labels, nil
}

// probeLoader opens a split for probe or kNN: of the train split, the share whose labels they may
// see. The share is nil where that is all.
func (j *Job) probeLoader(split string, c input.Config) (*input.Loader, *input.Share, error) {
	p := j.cfg.ProbeShare
	if split != machine.TrainSplit || p == 0 || p == 1 {
		loader, err := j.loader(split, c)
		return loader, nil, err
	}
	source, err := j.source(split)
	if err != nil {
		return nil, nil, err
	}
	var labels [][]int32
	for _, shard := range j.data.Index.Splits[split] {
		labels = append(labels, shard.Samples.Labels)
	}
	share := input.NewShare(source, labels, len(j.data.Index.Classes), p, j.cfg.Seed)
	c.Bad = share.Inside(c.Bad)
	loader, err := j.newLoader(share, split, c)
	return loader, share, err
}

// loader opens a split of the data for one phase.
func (j *Job) loader(split string, c input.Config) (*input.Loader, error) {
	source, err := j.source(split)
	if err != nil {
		return nil, err
	}
	return j.newLoader(source, split, c)
}

// newLoader makes the loader of a split or of a share of it.
func (j *Job) newLoader(source input.Source, split string, c input.Config) (*input.Loader, error) {
	c.Window, c.BadLimit, c.Log = j.cfg.Window, j.cfg.BadLimit, j.log.With("split", split)
	return input.NewLoader(source, c)
}

// source opens a split of the data whose windows fit into the cache.
func (j *Job) source(split string) (*shards.Split, error) {
	source, err := j.cache.Split(split)
	if err != nil {
		return nil, fmt.Errorf("split %s: %w", split, err)
	}
	if err := source.Require(j.cfg.Window); err != nil {
		return nil, &settings.Error{Faults: []settings.Fault{{Variable: settings.Variable("CacheSize"), Value: j.cfg.CacheSize.String(), Want: err.Error()}}}
	}
	return source, nil
}

// maxFloorImage is the side in pixels of the largest image whose pixels ridge regression is tried
// on: it solves for a weight of every pixel.
const maxFloorImage = 64

// ridgeOfImages tries ridge regression on what an encoder starts from, on the images of the kNN.
// The labels are those of the validation split.
func (j *Job) ridgeOfImages(ctx context.Context, labels []int32) (*record.Ridge, error) {
	bank, err := j.rawFeatures(ctx, machine.TrainSplit, j.cfg.KNNBank)
	if err != nil {
		return nil, err
	}
	validation, err := j.rawFeatures(ctx, machine.ValidationSplit, 0)
	if err != nil {
		return nil, err
	}
	return &record.Ridge{
		PatchesTop1: j.ridge(features{bank.patches, validation.patches, bank.labels}, labels),
		PixelsTop1:  j.ridge(features{bank.pixels, validation.pixels, bank.labels}, labels),
	}, nil
}

// ridge is the top-1, in percent, of ridge regression for the validation split, whose labels it is
// given.
func (j *Job) ridge(f features, labels []int32) float64 {
	return top1(classify.Ridge(f.bank, f.labels, f.validation, len(f.bank)/len(f.labels), len(j.data.Index.Classes)), labels)
}

// top1 is the share of answers, in percent, that are the labels.
func top1(answers, labels []int32) float64 {
	right := 0
	for i, answer := range answers {
		if answer == labels[i] {
			right++
		}
	}
	return 100 * float64(right) / float64(len(labels))
}

// rawFeatures are features of images without an encoder. They are sums in place of means: ridge
// regression sees no difference.
type rawFeatures struct {
	patches []float32 // [n, patch, patch, 3]: the sum of all patches
	pixels  []float32 // [n, S, S]: the sum of the channels, in place
	labels  []int32
}

// add appends an image [S, S, 3].
func (r *rawFeatures) add(image []byte, label int32, side, patch int) {
	patches, pixels := make([]float32, patch*patch*3), make([]float32, side*side)
	for i, value := range image {
		pixel, channel := i/3, i%3
		row, column := pixel/side%patch, pixel%side%patch
		patches[(row*patch+column)*3+channel] += float32(value)
		pixels[pixel] += float32(value)
	}
	r.patches, r.pixels, r.labels = append(r.patches, patches...), append(r.pixels, pixels...), append(r.labels, label)
}

// rawFeatures reads the same images as splitFeatures.
func (j *Job) rawFeatures(ctx context.Context, split string, n int) (all rawFeatures, err error) {
	size := j.imageBytes()
	for batch, err := range j.evaluationBatches(ctx, split, n) {
		if err != nil {
			return all, err
		}
		for i, label := range batch.Labels {
			all.add(batch.Images[i*size:(i+1)*size], label, j.cfg.Image, j.cfg.Patch)
		}
	}
	return all, nil
}

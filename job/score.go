package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/input/pixels"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/model/classify"
	"github.com/cijepa/cijepa/storage/shards"
)

// scores are counts over the validation split; of the probes by collected depth.
type scores struct {
	trained, untrained model.Score
	// Right answers of the kNN at the deepest depth; -1: the settings ask for no kNN.
	neighbours, untrainedNeighbours int
	nearest                         [][]classify.Neighbour // of the images that are shown, by the teacher; nil: no kNN
	seconds, device                 float64                // of scoring, and of it in programs of the device
}

// score runs both probes, and the kNN, over the validation split.
func (j *Job) score(ctx context.Context, p *probes) (scores, error) {
	s := scores{neighbours: -1, untrainedNeighbours: -1}
	j.live.Doing("scoring the probe")
	start, busy := time.Now(), j.device.Busy()
	validation, err := j.evaluationLoader(machine.ValidationSplit)
	if err != nil {
		return s, err
	}
	for batch, err := range validation.Batches(ctx, 0, validation.StepsPerEpoch()) {
		if err != nil {
			return s, err
		}
		for _, n := range []struct {
			probe *model.Probe
			into  *model.Score
		}{{p.trained, &s.trained}, {p.untrained, &s.untrained}} {
			one, err := n.probe.Score(batch.Images[:batch.N*j.cfg.Image*j.cfg.Image*3], batch.Labels[:batch.N])
			if err != nil {
				return s, fmt.Errorf("scoring: %w", &machine.DeviceError{Err: err})
			}
			n.into.Add(one)
		}
		j.live.Moved()
	}
	if s.trained.N == 0 {
		return s, errors.New("the validation split is empty")
	}
	if j.cfg.KNNK > 0 {
		shown := func(bank, validation []float32) { s.nearest = j.nearest(bank, validation) }
		if s.neighbours, err = j.neighbours(ctx, p.trained, shown); err != nil {
			return s, err
		}
		if s.untrainedNeighbours, err = j.neighbours(ctx, p.untrained, nil); err != nil {
			return s, err
		}
	}
	s.seconds, s.device = time.Since(start).Seconds(), (j.device.Busy() - busy).Seconds()
	return s, nil
}

// evaluationLoader reads a split in its own order, resized and cut at the centre.
func (j *Job) evaluationLoader(split string) (*input.Loader, error) {
	loader, _, err := j.probeLoader(split, input.Config{
		Size: j.cfg.Image, Batch: j.cfg.ProbeBatch, KeepPartial: true, Crop: pixels.EvaluationCrop(j.cfg.Image),
	})
	return loader, err
}

// neighbours counts the right answers of the kNN over the validation split, at the deepest depth.
// It hands the features of both to seen.
func (j *Job) neighbours(ctx context.Context, p *model.Probe, seen func(bank, validation []float32)) (int, error) {
	bank, bankLabels, err := j.features(ctx, p, machine.TrainSplit, j.cfg.KNNBank)
	if err != nil {
		return 0, err
	}
	queries, labels, err := j.features(ctx, p, machine.ValidationSplit, 0)
	if err != nil {
		return 0, err
	}
	if seen != nil {
		seen(bank, queries)
	}
	right := 0
	j.live.Doing("comparing neighbours")
	err = machine.Interruptible(ctx, func() error {
		for len(labels) > 0 { // in slices: on few cores all queries take longer than the watchdog allows
			n := min(knnSlice, len(labels))
			for i, answer := range classify.NearestNeighbours(bank, bankLabels, queries[:n*j.cfg.Width], j.cfg.Width, j.cfg.KNNK, len(j.data.Index.Classes)) {
				if answer == labels[i] {
					right++
				}
			}
			queries, labels = queries[n*j.cfg.Width:], labels[n:]
			j.live.Moved()
		}
		return nil
	})
	if err != nil {
		return 0, err // an abandoned search may still write to right
	}
	return right, nil
}

// knnSlice is the number of queries between two signs of progress.
const knnSlice = 1000

// features returns the pooled features of the deepest depth, [n, D], and the labels of the first n
// samples of a split; n = 0 means all.
func (j *Job) features(ctx context.Context, p *model.Probe, split string, n int) ([]float32, []int32, error) {
	loader, err := j.evaluationLoader(split)
	if err != nil {
		return nil, nil, err
	}
	steps := loader.StepsPerEpoch()
	if n > 0 {
		steps = min(steps, int64((n-1)/j.cfg.ProbeBatch+1))
	}
	var all []float32
	var labels []int32
	depths, width := len(j.cfg.Depths), j.cfg.Width
	for batch, err := range loader.Batches(ctx, 0, steps) {
		if err != nil {
			return nil, nil, err
		}
		j.live.Moved()
		f, err := p.Features(batch.Images[:batch.N*j.cfg.Image*j.cfg.Image*3]) // [N, L, D]
		if err != nil {
			return nil, nil, fmt.Errorf("features: %w", &machine.DeviceError{Err: err})
		}
		for i := range batch.N {
			all = append(all, f[(i*depths+depths-1)*width:(i+1)*depths*width]...)
		}
		labels = append(labels, batch.Labels[:batch.N]...)
	}
	if n > 0 && n < len(labels) {
		all, labels = all[:n*width], labels[:n]
	}
	return all, labels, nil
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

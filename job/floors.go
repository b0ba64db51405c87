package job

import (
	"context"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/model/classify"
)

// maxFloorImage is the side in pixels of the largest image whose pixels ridge regression is tried
// on: it solves for a weight of every pixel.
const maxFloorImage = 64

// ridges tries ridge regression where a probe is whitened and images are small, on the images of the
// kNN: at once on what an encoder starts from, and on the features of both encoders in the two
// functions that it returns. Both take features of the bank and of the validation split. What there
// is to compare with is s.Labels.
func (j *Job) ridges(ctx context.Context, s *scores) (trained, untrained func(bank, validation []float32), err error) {
	if !j.cfg.ProbeWhiten || j.cfg.Image > maxFloorImage {
		ignore := func(_, _ []float32) {}
		return ignore, ignore, nil
	}
	bank, err := j.rawFeatures(ctx, machine.TrainSplit, j.cfg.KNNBank)
	if err != nil {
		return nil, nil, err
	}
	validation, err := j.rawFeatures(ctx, machine.ValidationSplit, 0)
	if err != nil {
		return nil, nil, err
	}
	top1 := func(train, test []float32) float64 {
		right := 0
		for i, class := range classify.Ridge(train, bank.labels, test, len(train)/len(bank.labels), len(j.data.Index.Classes)) {
			if class == s.Labels[i] {
				right++
			}
		}
		return 100 * float64(right) / float64(len(s.Labels))
	}
	s.ridge = &record.Ridge{
		PatchesTop1: top1(bank.patches, validation.patches), PixelsTop1: top1(bank.pixels, validation.pixels),
	}
	return func(bank, validation []float32) { s.ridge.Top1 = top1(bank, validation) },
		func(bank, validation []float32) { s.ridge.UntrainedTop1 = top1(bank, validation) }, nil
}

// rawFeatures are features of images without an encoder.
type rawFeatures struct {
	patches []float32 // [n, 3 patch patch]: the mean of all patches
	pixels  []float32 // [n, S S]: the mean of the channels, in place
	labels  []int32
}

// rawFeatures reads the same images as features.
func (j *Job) rawFeatures(ctx context.Context, split string, n int) (all rawFeatures, err error) {
	loader, err := j.evaluationLoader(split)
	if err != nil {
		return all, err
	}
	side, patch := j.cfg.Image, j.cfg.Patch
	for batch, err := range loader.Batches(ctx, 0, loader.StepsPerEpoch()) {
		if err != nil {
			return all, err
		}
		for i := range batch.N {
			if n > 0 && len(all.labels) == n {
				return all, nil
			}
			mean, grey := make([]float32, 3*patch*patch), make([]float32, side*side)
			for at, value := range batch.Images[i*side*side*3 : (i+1)*side*side*3] {
				pixel, channel := at/3, at%3
				row, column := pixel/side%patch, pixel%side%patch
				mean[(row*patch+column)*3+channel] += float32(value)
				grey[pixel] += float32(value)
			}
			all.patches, all.pixels = append(all.patches, mean...), append(all.pixels, grey...)
			all.labels = append(all.labels, batch.Labels[i])
		}
		j.live.Moved()
	}
	return all, nil
}

package model

import "testing"

// The sizes of ViT-B/16: 85,645,056 weights of an encoder, 10,943,232 of a predictor and 3,252,480 of its eleven heads.
func TestNeedOfViTB(t *testing.T) {
	half, most := 0.5, 0.8
	c := Config{
		Image: 224, Patch: 16, Width: 768, Depth: 12, Heads: 12, MLPRatio: 4,
		PredictorWidth: 384, PredictorDepth: 6, PredictorHeads: 12, RopeTheta: 10000,
		Depths: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, AllToLastWeight: &half, LastToLastWeight: &most, IntermediateRows: 2,
		TargetNorm: true, Masks: DefaultMasks(), Batch: 256, Precision: BFloat16, WeightDecay: 0.05,
	}
	const encoder, predictor = 4 * 85_645_056, 4 * (10_943_232 + 3_252_480)
	s := MaskShape{Target: 35, Context: 48}
	whole := c.Need(s, true)
	if want := int64(4*encoder + 11*3*predictor); whole.State != want || c.StateBytes() != want {
		t.Errorf("%d bytes of state, want %d", whole.State, want)
	}
	if want := int64(4*encoder + 3*3*predictor); whole.Results != want {
		t.Errorf("%d bytes of results, want %d", whole.Results, want)
	}
	if want := int64(encoder + 3*predictor); whole.Gradients != want || whole.Sums != 0 {
		t.Errorf("%d bytes of gradients and %d of sums, want %d and none", whole.Gradients, whole.Sums, want)
	}
	if want := int64(2 * 256 * 224 * 224 * 3); whole.Images != want {
		t.Errorf("%d bytes of images, want %d", whole.Images, want)
	}
	// Of an image, by hand: 36 bytes a token, block and width in bf16; the last block of the teacher; 7 x 4 bytes a prediction.
	image := int64(12*48*36*768 + 196*36*768 + 3*4*6*(48+35)*36*384 + 7*4*4*35*11*768)
	if whole.Activations != 256*image {
		t.Errorf("%d bytes of activations, want %d", whole.Activations, 256*image)
	}
	c.MicroBatch = 64
	part := c.Need(s, true)
	if part.Activations != 64*image || part.Sums != part.Gradients || part.State != whole.State || part.Images != whole.Images {
		t.Errorf("in micro-batches %+v", part)
	}
	c.Remat = true
	if again := c.Need(s, true); again.Activations > part.Activations/2 {
		t.Errorf("with rematerialisation %d bytes, without %d", again.Activations, part.Activations)
	}
	if scores := c.Need(s, false); scores.Activations <= c.Need(s, true).Activations {
		t.Errorf("attention's scores take nothing: %+v", scores)
	}
	t.Logf("batch 256: %+v, %.1f GB", whole, float64(whole.Total())/1e9)
}

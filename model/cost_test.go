package model

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/model/mask"
)

// vitB is the configuration of the post (model/reference/METHOD.md): ViT-B/16 at 224 px, eleven
// depths, two intermediate rows.
func vitB() Config {
	half, most := 0.5, 0.8
	return Config{
		Image: 224, Patch: 16, Width: 768, Depth: 12, Heads: 12, MLPRatio: 4,
		PredictorWidth: 384, PredictorDepth: 6, PredictorHeads: 12, RopeTheta: 10000,
		Depths: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, AllToLastWeight: &half, LastToLastWeight: &most, IntermediateRows: 2,
		TargetNorm: true, Masks: mask.Default(), Batch: 8, Precision: BFloat16, WeightDecay: 0.05,
	}
}

// The sizes of ViT-B/16: 85,645,056 weights of an encoder, 10,943,232 of a predictor and 3,252,480
// of its eleven heads.
func TestNeedOfViTB(t *testing.T) {
	c := vitB()
	c.Batch = 256
	const encoder, predictor = 4 * 85_645_056, 4 * (10_943_232 + 3_252_480)
	s := mask.Shape{Target: 35, Context: 48}
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
	if want := int64(3 * 256 * 224 * 224 * 3); whole.Images != want {
		t.Errorf("%d bytes of images, want %d", whole.Images, want)
	}
	// Of an image, by hand: 36 bytes a token, block and width in bf16, but in the last block of a
	// predictor 12 for all tokens and 24 for those of the target; 4 bytes a target feature and
	// twice 2 a prediction.
	image := int64(12*48*36*768 + 3*4*(5*83*36+83*12+35*24)*384 + (4+2*2)*4*35*11*768)
	if whole.Activations != 256*image-whole.Results {
		t.Errorf("%d bytes of activations, want %d", whole.Activations, 256*image-whole.Results)
	}
	if scores := c.Need(s, false); scores.Activations <= whole.Activations || scores.Workspace != 0 {
		t.Errorf("attention's scores take nothing, or cuDNN something: %+v", scores)
	}
	// Of a predictor's call: four sequences of 12 heads an image, whose 83 tokens are padded to
	// 128.
	if want := int64(256 * 4 * 12 * 128 * 128 * 2); whole.Workspace != want {
		t.Errorf("%d bytes of cuDNN's workspace, want %d", whole.Workspace, want)
	}
	sum := whole.State + whole.Copy + whole.Images + whole.Results + whole.Gradients + whole.Activations + whole.Workspace
	if whole.Total() != sum {
		t.Errorf("%d bytes in all, want %d", whole.Total(), sum)
	}
	c.MicroBatch = 64
	part := c.Need(s, true)
	if part.Activations != 64*image-part.Results || part.Workspace != whole.Workspace/4 || part.Sums != part.Gradients || part.State != whole.State || part.Images != whole.Images {
		t.Errorf("in micro-batches %+v", part)
	}
	c.Remat = true
	if again := c.Need(s, true); again.Activations > part.Activations/2 {
		t.Errorf("with rematerialisation %d bytes, without %d", again.Activations, part.Activations)
	}
	t.Logf("batch 256: %+v, %.1f GB", whole, float64(whole.Total())/1e9)
}

// The formula is near the memory that XLA plans for a step of ViT-B/16 on an H100, beyond inputs
// and results, as .ci/gpu/compile prints it (CUDA plugin 0.11.2, 2026-11-25). Without a card a plan
// has no workspace of cuDNN in it.
func TestNeedIsWhatXLAPlans(t *testing.T) {
	for _, plan := range []struct {
		batch, target, context int
		remat, plain           bool
		temporary              float64 // GB
	}{
		{128, 30, 56, false, false, 11.90},
		{128, 35, 48, false, false, 11.46},
		{128, 40, 40, false, false, 11.35},
		{64, 35, 48, false, false, 5.34},
		{256, 35, 48, false, false, 23.93},
		{128, 35, 48, true, false, 1.84},
		{128, 35, 48, false, true, 15.72},
	} {
		c := vitB()
		c.Batch, c.Remat, c.PlainAttention = plan.batch, plan.remat, plan.plain
		need := c.Need(mask.Shape{Target: plan.target, Context: plan.context}, c.Fused("xla:cuda"))
		got := float64(need.Gradients+need.Activations) / 1e9
		t.Logf("%+v: %.2f GB by the sizes, %.1f GB in all", plan, got, float64(need.Total())/1e9)
		if math.Abs(got/plan.temporary-1) > 0.05 {
			t.Errorf("%+v: %.2f GB by the sizes", plan, got)
		}
	}
}

// TestStateBytesAreThoseOfASnapshot: the bytes of its arrays, blocks that nothing trains included.
func TestStateBytesAreThoseOfASnapshot(t *testing.T) {
	c := tiny()
	c.Depths = []int{0, 1, 2}
	learner := newTestLearner(t, c)
	parts, err := learner.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var held int64
	for _, part := range parts {
		n, err := arrayBytes(part)
		if err != nil {
			t.Fatal(err)
		}
		held += n
	}
	if got := c.StateBytes(); got != held {
		t.Errorf("%d bytes of state, but a snapshot holds %d", got, held)
	}
}

// arrayBytes counts the bytes of the arrays of a safetensors file, without the optimiser's step
// counts.
func arrayBytes(part Part) (n int64, err error) {
	var file bytes.Buffer
	if err := part.Write(&file); err != nil {
		return 0, err
	}
	header := file.Next(8)
	var arrays map[string]json.RawMessage
	if err := json.NewDecoder(io.LimitReader(&file, int64(binary.LittleEndian.Uint64(header)))).Decode(&arrays); err != nil {
		return 0, fmt.Errorf("%s: %w", part.Name, err)
	}
	for name, text := range arrays {
		var a struct {
			Offsets [2]int64 `json:"data_offsets"`
		}
		if name == "__metadata__" || strings.HasPrefix(name, "adam.step/") {
			continue
		}
		if err := json.Unmarshal(text, &a); err != nil {
			return 0, fmt.Errorf("%s: %w", part.Name, err)
		}
		n += a.Offsets[1] - a.Offsets[0]
	}
	return n, nil
}

package pixels

import (
	"fmt"
	"math"
	"testing"

	"github.com/cijepa/cijepa/model/draw"
)

// TestCropPresetsHaveThePublishedParameters: those of I-JEPA and of linear probing.
func TestCropPresetsHaveThePublishedParameters(t *testing.T) {
	ratio := [2]float64{0.75, 4. / 3}
	if c := PretrainCrop(); c != (Crop{Scale: [2]float64{0.3, 1}, Ratio: ratio, Filter: Bilinear}) {
		t.Errorf("PretrainCrop() = %+v", c)
	}
	if c := ProbeCrop(); c != (Crop{Scale: [2]float64{0.08, 1}, Ratio: ratio, Filter: Bicubic, Flip: true}) {
		t.Errorf("ProbeCrop() = %+v", c)
	}
	for size, shorter := range map[int]int{224: 256, 28: 32, 96: 109, 1: 1} {
		if c := EvaluationCrop(size); c != (Crop{Filter: Bicubic, Shorter: shorter}) {
			t.Errorf("EvaluationCrop(%d) = %+v", size, c)
		}
	}
}

// TestEvaluationViewIsTorchvisions: Resize(256) truncates the longer side, CenterCrop(224) rounds
// halves to even.
func TestEvaluationViewIsTorchvisions(t *testing.T) {
	for _, c := range []struct{ width, height, wide, high, x, y int }{
		{500, 375, 341, 256, 58, 16},   // 341.33; 58.5
		{375, 500, 256, 341, 16, 58},   //
		{500, 333, 384, 256, 80, 16},   // 384.38
		{300, 300, 256, 256, 16, 16},   //
		{256, 259, 256, 259, 16, 18},   // 17.5 to even
		{41, 30, 349, 256, 62, 16},     // enlarged; 349.87; 62.5
		{700, 60, 2986, 256, 1381, 16}, //
	} {
		v := EvaluationCrop(224).View(c.width, c.height, 224, nil)
		want := View{box: box{width: c.width, height: c.height}, width: c.wide, height: c.high,
			x: c.x, y: c.y, size: 224, filter: Bicubic}
		if v != want {
			t.Errorf("%dx%d: %+v, want %+v", c.width, c.height, v, want)
		}
	}
}

// TestRandomCropsAreDistributedAsTorchvisions compares with RandomResizedCrop on images of 500x375:
// how often the first try fits, and what fraction of the image is kept.
func TestRandomCropsAreDistributedAsTorchvisions(t *testing.T) {
	const n = 40000
	for _, c := range []struct {
		crop           Crop
		firstTry, area float64
	}{
		{PretrainCrop(), 0.66, 0.548},
		{ProbeCrop(), 0.74, 0.433},
	} {
		t.Run(fmt.Sprint(c.crop.Scale[0]), func(t *testing.T) {
			first, fallbacks, area, flips, corner := 0, 0, 0.0, 0, 0
			for i := range n {
				stream := draw.New(5, "statistics", uint64(i))
				b, try := c.crop.randomBox(500, 375, stream)
				switch {
				case b.width < 1, b.height < 1, b.left < 0, b.top < 0, b.left+b.width > 500, b.top+b.height > 375:
					t.Fatalf("%+v lies outside of 500x375", b)
				}
				if try == 0 {
					first++
				}
				if try == maxTries {
					fallbacks++
				} else if r := float64(b.width) / float64(b.height); r < 0.74 || r > 1.35 {
					t.Fatalf("%+v has the ratio %.3f", b, r)
				}
				part := float64(b.width*b.height) / (500 * 375)
				if part < c.crop.Scale[0]-0.01 || part > 1 {
					t.Fatalf("%+v is %.3f of the image", b, part)
				}
				area += part
				if b.left+b.width == 500 { // the last position is drawn too
					corner++
				}
				if c.crop.View(500, 375, 224, draw.New(5, "statistics", uint64(i))).mirrored {
					flips++
				}
			}
			near(t, "first try fits", float64(first)/n, c.firstTry, 0.01)
			near(t, "mean area", area/n, c.area, 0.006)
			if corner == 0 {
				t.Error("no box touches the right edge")
			}
			if c.crop.Flip {
				near(t, "mirrored", float64(flips)/n, 0.5, 0.01)
			} else if flips > 0 {
				t.Errorf("%d mirrored without Flip", flips)
			}
			if fallbacks > n/100 {
				t.Errorf("%d times no try fitted", fallbacks)
			}
		})
	}
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s: %.4f, want %.4f within %.4f", what, got, want, tolerance)
	}
}

// TestRandomBoxFallsBackToTheCentre: when no try fits, the box is the largest central one of a
// legal ratio.
func TestRandomBoxFallsBackToTheCentre(t *testing.T) {
	crop := PretrainCrop()
	for _, c := range []struct {
		width, height int
		want          box
	}{
		{1000, 10, box{493, 0, 13, 10}}, // 13.33; floor of 493.5
		{10, 1000, box{0, 493, 10, 13}},
		{1, 1000, box{0, 499, 1, 1}},
	} {
		got, try := box{}, 0
		for i := range 1000 {
			if got, try = crop.randomBox(c.width, c.height, draw.New(6, "fallback", uint64(i))); try == maxTries {
				break
			}
		}
		if try != maxTries || got != c.want {
			t.Errorf("%dx%d: %+v at try %d, want %+v", c.width, c.height, got, try, c.want)
		}
	}
	// A legal ratio with a scale that no try can have gives the whole image.
	crop.Scale, crop.Ratio = [2]float64{1, 1}, [2]float64{0.9, 0.9}
	if got, try := crop.randomBox(9, 10, draw.New(6, "whole")); got != (box{0, 0, 9, 10}) {
		t.Errorf("%+v at try %d, want the whole image", got, try)
	}
}

// TestGoldenCrops fails if a Go release or another processor changes the crops of a run.
func TestGoldenCrops(t *testing.T) {
	for i, want := range []struct {
		box      box
		mirrored bool
	}{
		{box{70, 11, 410, 333}, true},
		{box{142, 123, 176, 215}, false},
		{box{26, 4, 287, 362}, false},
		{box{103, 62, 223, 218}, true},
		{box{206, 68, 246, 191}, true},
		{box{50, 28, 252, 335}, true},
	} {
		got := ProbeCrop().View(500, 375, 224, draw.New(7, "crop", 3, uint64(i)))
		if got.box != want.box || got.mirrored != want.mirrored {
			t.Errorf("sample %d: %+v, mirrored %v, want %+v", i, got.box, got.mirrored, want)
		}
	}
}

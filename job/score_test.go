package job

import (
	"slices"
	"testing"
)

// TestRawFeaturesOfAnImage of 4 x 4 pixels and patches of 2 x 2: the patches add up place by place
// and channel by channel, and every pixel keeps its place.
func TestRawFeaturesOfAnImage(t *testing.T) {
	image := make([]byte, 4*4*3)
	var patches [2 * 2 * 3]float32
	var pixels [4 * 4]float32
	for y := range 4 {
		for x := range 4 {
			for c := range 3 {
				value := byte(7*y + 31*x + 100*c)
				image[(y*4+x)*3+c] = value
				patches[(y%2*2+x%2)*3+c] += float32(value)
				pixels[y*4+x] += float32(value)
			}
		}
	}
	var got rawFeatures
	got.add(make([]byte, len(image)), 1, 4, 2)
	got.add(image, 5, 4, 2)
	if !slices.Equal(got.patches[12:], patches[:]) || !slices.Equal(got.pixels[16:], pixels[:]) || !slices.Equal(got.labels, []int32{1, 5}) {
		t.Errorf("patches %v, want %v\npixels %v, want %v\nlabels %v", got.patches[12:], patches, got.pixels[16:], pixels, got.labels)
	}
}

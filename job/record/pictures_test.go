package record

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPicturesInWords: what the sheets show is said in words and figures, with labels and without.
func TestPicturesInWords(t *testing.T) {
	p := Pictures{
		Neighbours: &Sheet{},
		Images: []PicturedImage{
			{Sample: 3, Class: "shirt", Neighbours: []Neighbour{{7, "shirt", 0.99}, {8, "coat", 0.9}, {9, "dress", 0.8}}},
			{Sample: 4, Class: "bag\n", Neighbours: []Neighbour{{1, "bag\n", 0.99}, {2, "bag\n", 0.9}, {3, "", 0.8}}},
		},
		Depths: []PicturedDepth{{Depth: 1}, {
			5, Components{[]float64{0.412, 0.2, 0}, []string{Brightness, Centre, ""}, []float64{0.914, 0.4, 0}},
			Components{[]float64{0.6, 0.2, 0.1}, []string{Height, Height, Height}, []float64{0.5, 0.4, 0.3}},
		}},
	}
	for _, c := range []struct{ got, want string }{
		{p.ComponentsAlt(), `2 validation images (shirt, bag\n), each beside the first three principal components of its patch tokens as red, green and blue, ` +
			"at depth 1, 5 of the teacher and then of the untrained encoder. Depth 5: teacher 41 + 20 + 0 % of the variance, following brightness 0.91, centre 0.40, nothing; " +
			"untrained 60 + 20 + 10 % of the variance, following height 0.50, height 0.40, height 0.30."},
		{p.Depths[1].Teacher.Figures(), "41 + 20 + 0 %; brightness 0.91, centre 0.40, nothing"},
		{p.NeighboursAlt(), `2 validation images, each beside the training images that are nearest by the teacher's deepest features: 3 of 5 have its class. ` +
			`shirt: 1 of 3, and coat, dress. bag\n: 2 of 2.`},
	} {
		if d := cmp.Diff(c.want, c.got); d != "" {
			t.Error(d)
		}
	}
	unlabelled := Pictures{Neighbours: &Sheet{}, Images: []PicturedImage{{Sample: 3, Neighbours: []Neighbour{{7, "", 0.99}, {8, "", 0.9}}}}}
	want := "1 validation images, each beside the training images that are nearest by the teacher's deepest features. image 3: similarity 0.99 to 0.90."
	if d := cmp.Diff(want, unlabelled.NeighboursAlt()); d != "" {
		t.Error(d)
	}
	if same, known := unlabelled.Images[0].Agrees(Neighbour{}); known {
		t.Errorf("images without labels agree: %v", same)
	}
}

package pictures

import (
	"math"
	"slices"
	"testing"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/model/draw"
)

// shades are n images of 8 x 8 pixels whose patches of 2 x 2 have random brightness.
func shades(n int) Images {
	s := draw.New(1, "shades")
	images := Images{Side: 8, Pixels: make([]byte, n*8*8*3)}
	for i := range n {
		for range 16 {
			patch, shade := s.IntN(16), byte(s.IntN(256))
			for y := range 2 {
				for x := range 2 {
					at := ((i*8+patch/4*2+y)*8 + patch%4*2 + x) * 3
					for c := range 3 {
						images.Pixels[at+c] = shade
					}
				}
			}
		}
	}
	return images
}

// standard is a field with mean 0 and variance 1.
func standard(values []float64) []float64 {
	var mean, variance float64
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		variance += (v - mean) * (v - mean) / float64(len(values))
	}
	all := make([]float64, len(values))
	for i, v := range values {
		all[i] = (v - mean) / math.Sqrt(variance)
	}
	return all
}

// tokensOf are tokens [n, 8] that are made of the fields: each field on a pair of features with
// opposite signs, so that the mean over the features is 0, and a constant pair that makes the
// variance of nearly all tokens the same.
func tokensOf(f Fields, strength [3]float64, sign float64) []float32 {
	var tokens []float32
	brightness, centre, height := standard(f.fields[0].values), standard(f.fields[4].values), standard(f.fields[5].values)
	for i := range brightness {
		for _, v := range []float64{brightness[i] * strength[0], centre[i] * strength[1], height[i] * strength[2], 100} {
			tokens = append(tokens, float32(sign*v), float32(-sign*v))
		}
	}
	return tokens
}

// TestComponentsFollowTheirFields: whichever the order and the sign in which an encoder holds
// brightness, centre and height, each is a channel that rises with it.
func TestComponentsFollowTheirFields(t *testing.T) {
	images := shades(8)
	f := NewFields(images, 4)
	for _, c := range []struct {
		strength [3]float64
		want     []string
	}{
		{[3]float64{4, 2, 1}, []string{record.Brightness, record.Centre, record.Height}},
		{[3]float64{1, 2, 4}, []string{record.Height, record.Centre, record.Brightness}},
	} {
		var before []byte
		for _, sign := range []float64{1, -1} {
			maps, err := Project(tokensOf(f, c.strength, sign), 8, f)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(maps.Follows, c.want) {
				t.Fatalf("strengths %v: the components follow %v (%v)", c.strength, maps.Follows, maps.R)
			}
			for k, share := range []float64{16. / 21, 4. / 21, 1. / 21} {
				if math.Abs(maps.Shares[k]-share) > 0.05 || maps.R[k] < 0.9 {
					t.Errorf("component %d holds %g of the variance and follows with %g", k, maps.Shares[k], maps.R[k])
				}
			}
			for k, name := range c.want {
				of := f.fields[slices.IndexFunc(f.fields, func(f field) bool { return f.name == name })]
				low, high := slices.Index(of.values, slices.Min(of.values)), slices.Index(of.values, slices.Max(of.values))
				if a, b := maps.Pixels[low*3+k], maps.Pixels[high*3+k]; a > 60 || b < 195 {
					t.Errorf("channel %d is %d where %s is least and %d where it is most", k, a, name, b)
				}
			}
			if before != nil && !slices.Equal(before, maps.Pixels) {
				t.Error("an encoder of the opposite sign has other colours")
			}
			before = maps.Pixels
		}
	}
}

// TestDepthsHaveTheSignsOfTheDeepest: a component that marks the same patches as that of the next
// deeper depth has its sign, whatever field it follows, and one that marks others keeps its own.
func TestDepthsHaveTheSignsOfTheDeepest(t *testing.T) {
	f := NewFields(shades(8), 4)
	project := func(strength [3]float64) *Maps {
		maps, err := Project(tokensOf(f, strength, 1), 8, f)
		if err != nil {
			t.Fatal(err)
		}
		return &maps
	}
	deepest, middle, first, other := project([3]float64{4, 2, 1}), project([3]float64{4, 2, 1}), project([3]float64{4, 2, 1}), project([3]float64{1, 4, 2})
	want := slices.Clone(deepest.Pixels)
	for k := range middle.scores[1] { // as if it followed another field
		middle.scores[1][k] *= -1
	}
	paint(middle.Pixels[1:], middle.scores[1])
	kept := slices.Clone(other.Pixels)
	Align([]*Maps{other, first, middle, deepest})
	if !slices.Equal(deepest.Pixels, want) || !slices.Equal(middle.Pixels, want) || !slices.Equal(first.Pixels, want) {
		t.Error("depths that mark the same patches have other colours")
	}
	if middle.R[1] >= 0 || middle.R[0] < 0 || first.R[1] < 0 {
		t.Errorf("the correlations with the fields are %v and %v", middle.R, first.R)
	}
	if !slices.Equal(other.Pixels, kept) {
		t.Error("a depth that marks other patches was turned")
	}
	Align(nil)
}

// TestColoursDoNotDependOnTheOrderOfFeatures: an encoder whose features are permuted has the same
// maps.
func TestColoursDoNotDependOnTheOrderOfFeatures(t *testing.T) {
	f := NewFields(shades(8), 4)
	s := draw.New(2, "tokens")
	const width = 12
	tokens, permuted := make([]float32, 8*16*width), make([]float32, 8*16*width)
	order := s.Perm(width)
	for i := range tokens {
		tokens[i] = float32(s.Normal() * math.Pow(0.6, float64(i%width)))
	}
	for i := range tokens {
		permuted[i/width*width+order[i%width]] = tokens[i]
	}
	a, err := Project(tokens, width, f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Project(permuted, width, f)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range a.Pixels {
		if d := int(v) - int(b.Pixels[i]); d < -1 || d > 1 {
			t.Fatalf("value %d is %d and %d", i, v, b.Pixels[i])
		}
	}
}

// TestFewTokensDoNotSetTheRange: of a hundred scores the two most extreme leave the others their
// colours.
func TestFewTokensDoNotSetTheRange(t *testing.T) {
	scores := make([]float64, 1000)
	for i := range scores {
		scores[i] = float64(i)
	}
	scores[0], scores[999] = -1e9, 1e9
	channel := make([]byte, 3*len(scores))
	paint(channel, scores)
	if low, middle, high := channel[3*100], channel[3*500], channel[3*900]; low < 15 || low > 35 || middle < 120 || middle > 135 || high < 220 || high > 240 {
		t.Errorf("a tenth, a half and nine tenths are drawn as %d, %d, %d", low, middle, high)
	}
}

// TestWhatHasNoComponentsIsGrey: one feature, tokens that are all alike; and what is no token is
// refused.
func TestWhatHasNoComponentsIsGrey(t *testing.T) {
	f := NewFields(shades(2), 4)
	alike := make([]float32, 2*16*6)
	for i := range alike {
		alike[i] = float32(i % 6)
	}
	pair := make([]float32, 2*16*2)
	for i := range pair {
		pair[i] = float32((i*7%5 - 2) * (1 - i%2*2))
	}
	for name, c := range map[string]struct {
		tokens []float32
		width  int
		grey   []int // channels
	}{
		"alike": {alike, 6, []int{0, 1, 2}},
		"pair":  {pair, 2, []int{1, 2}},
	} {
		maps, err := Project(c.tokens, c.width, f)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, k := range c.grey {
			if maps.Pixels[k] != 128 || maps.Pixels[len(maps.Pixels)-3+k] != 128 || maps.Shares[k] != 0 || maps.Follows[k] != "" {
				t.Errorf("%s: channel %d is %d, with %g of the variance", name, k, maps.Pixels[k], maps.Shares[k])
			}
		}
	}
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
		broken := slices.Clone(alike)
		broken[77] = bad
		if _, err := Project(broken, 6, f); err == nil {
			t.Errorf("a feature of %g has a colour", bad)
		}
	}
	if _, err := Project(alike[1:], 6, f); err == nil {
		t.Error("a part of a token was taken")
	}
}

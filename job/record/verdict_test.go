package record

import (
	"math"
	"testing"
)

// TestTeachersThatDoNotBeatTheirUntrainedSelfAreTold, by the measures by which they do not, and no
// others. The standard errors are computed by hand.
func TestTeachersThatDoNotBeatTheirUntrainedSelfAreTold(t *testing.T) {
	at := func(v float64) *float64 { return &v }
	for name, c := range map[string]struct {
		m      Metrics
		images int
		want   string
	}{
		"better by both":             {Metrics{Top1: 66.43, UntrainedTop1: 32.2, KNNTop1: at(58.9), UntrainedKNN: at(44.9)}, 10000, ""},
		"better by the only one":     {Metrics{Top1: 66.43, UntrainedTop1: 32.2}, 10000, ""},
		"the untrained not known":    {Metrics{Top1: 66.43, UntrainedTop1: 32.2, KNNTop1: at(58.9)}, 10000, ""},
		"nothing was scored":         {Metrics{}, 0, ""},
		"just beyond noise":          {Metrics{Top1: 54, UntrainedTop1: 50}, 1250, ""},
		"just within noise":          {Metrics{Top1: 53.9, UntrainedTop1: 50}, 1250, "Against the untrained encoder, pretraining gained nothing beyond noise by linear probe (53.90 against 50.00 %, +3.90 ± 2.00 points)."},
		"worse by one of two":        {Metrics{Top1: 42.4, UntrainedTop1: 32.73, KNNTop1: at(38.07), UntrainedKNN: at(47.27)}, 1500, "Against the untrained encoder, pretraining lost by kNN (38.07 against 47.27 %, -9.20 ± 1.80 points)."},
		"no better and worse":        {Metrics{Top1: 30.51, UntrainedTop1: 30.68, KNNTop1: at(10), UntrainedKNN: at(23.6)}, 5000, "Against the untrained encoder, pretraining gained nothing beyond noise by linear probe (30.51 against 30.68 %, -0.17 ± 0.92 points) and lost by kNN (10.00 against 23.60 %, -13.60 ± 0.74 points)."},
		"nothing by both":            {Metrics{Top1: 28.5, UntrainedTop1: 21.5, KNNTop1: at(37.5), UntrainedKNN: at(42.5)}, 200, "Against the untrained encoder, pretraining gained nothing beyond noise by linear probe (28.50 against 21.50 %, +7.00 ± 4.32 points) and by kNN (37.50 against 42.50 %, -5.00 ± 4.89 points)."},
		"nothing by three":           {Metrics{Top1: 30, UntrainedTop1: 30, KNNTop1: at(30), UntrainedKNN: at(30), Ridge: &Ridge{Top1: 40, UntrainedTop1: 40}}, 2100, "Against the untrained encoder, pretraining gained nothing beyond noise by linear probe (30.00 against 30.00 %, +0.00 ± 1.41 points), by kNN (30.00 against 30.00 %, +0.00 ± 1.41 points) and by ridge regression (40.00 against 40.00 %, +0.00 ± 1.51 points)."},
		"all right before and after": {Metrics{Top1: 100, UntrainedTop1: 100}, 10, "Against the untrained encoder, pretraining gained nothing beyond noise by linear probe (100.00 against 100.00 %, +0.00 ± 13.23 points)."},
	} {
		if got := c.m.Judge(c.images); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	g := Metrics{Top1: 60, UntrainedTop1: 50}.Gains(100)[0]
	if want := math.Sqrt(24 + 25); math.Abs(g.Error-want) > 1e-12 || g.Points() != 10 || g.Beyond() {
		t.Errorf("60 against 50 %% of 100 images: %+v, error %g", g, want)
	}
}

// TestFewImagesLeaveDoubt: the standard error of a share is the binomial one, and where none or all
// of the images are right, or all of them changed or none did, it is not 0. The figures are
// computed by hand.
func TestFewImagesLeaveDoubt(t *testing.T) {
	for _, c := range []struct {
		percent float64
		images  int
		want    float64
	}{{50, 100, 5}, {70, 5000, 100 * math.Sqrt(0.21/5000)}, {100, 4, 100 * math.Sqrt(0.1875/8)}, {0, 4, 100 * math.Sqrt(0.1875/8)}, {100, 1, 100 * math.Sqrt(0.24/5)}} {
		if got := StandardError(c.percent, c.images); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%g %% of %d images: %g, want %g", c.percent, c.images, got, c.want)
		}
	}
	for _, c := range []struct {
		won, lost, images int
		want              float64
	}{{0, 0, 4, 100 * math.Sqrt(2) / 6}, {4, 0, 4, 100 * math.Sqrt(6-16./6) / 6}, {0, 4, 4, 100 * math.Sqrt(6-16./6) / 6}, {2, 2, 4, 50}} {
		if got := PairedError(c.won, c.lost, c.images); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%d won and %d lost of %d images: %g, want %g", c.won, c.lost, c.images, got, c.want)
		}
	}
}

// TestPairedErrorIsThatOfTheDifferenceByImage, against the standard deviation of the differences of
// the images, each 1, 0 or -1.
func TestPairedErrorIsThatOfTheDifferenceByImage(t *testing.T) {
	const won, lost, images = 30, 10, 200
	var sum, squares float64
	for i := range images {
		d := 0.
		switch {
		case i < won:
			d = 1
		case i < won+lost:
			d = -1
		}
		sum, squares = sum+d, squares+d*d
	}
	mean := sum / images
	want := 100 * math.Sqrt((squares/images-mean*mean)/images)
	if got := PairedError(won, lost, images); math.Abs(got-want) > 1e-12 {
		t.Errorf("%g, want %g", got, want)
	}
	paired := 1.5
	m := Metrics{Top1: 54, UntrainedTop1: 50, GainError: &paired}
	if g := m.Gains(100)[0]; g.Error != 1.5 || !g.Beyond() {
		t.Errorf("where the answers were compared the gain is %+v", g)
	}
}

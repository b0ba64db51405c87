package job

import (
	"testing"

	"github.com/cijepa/cijepa/job/predictions"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model/classify"
	"github.com/cijepa/cijepa/storage/classlist"
)

// TestThePostsFigureNeedsThePostsClasses: a hundred other classes of the same counts are other
// data.
func TestThePostsFigureNeedsThePostsClasses(t *testing.T) {
	for _, c := range []struct {
		list              string
		train, validation int
		want              bool
	}{
		{"imagenet-100", 126689, 5000, true},
		{"imagenet-100", 126688, 5000, false},
		{"imagenet-100", 126689, 4999, false},
		{"imagenet-100-kaggle", 126689, 5000, false},
	} {
		classes, err := classlist.Open(c.list)
		if err != nil {
			t.Fatal(err)
		}
		if got := postFigure(settings.Presets()[0].Name, classes, c.train, c.validation); (got != nil) != c.want {
			t.Errorf("%s with %d and %d images: %v", c.list, c.train, c.validation, got)
		}
	}
}

// TestResultComparesTheTeacherWithItsUntrainedSelf, by probe and kNN at the deepest depth, image by
// image, and says where nothing was gained.
func TestResultComparesTheTeacherWithItsUntrainedSelf(t *testing.T) {
	answers := func(right ...int32) classify.Answers { // 1: right
		a := classify.Answers{}
		for _, r := range right {
			a.Append(classify.Answers{Classes: []int32{1 - r}, Ranks: []int32{1 - r}})
		}
		return a
	}
	none, half, all := answers(0, 0, 0, 0), answers(1, 1, 0, 0), answers(1, 1, 1, 1)
	var m record.Metrics
	score(&m, predictions.Predictions{
		Classes: 2, Labels: make([]int32, 4), Depths: []int{0, 3}, KNNDepths: []int{3},
		Probe: []classify.Answers{none, all}, UntrainedProbe: []classify.Answers{all, none},
		KNN: []classify.Answers{half}, UntrainedKNN: []classify.Answers{all},
	})
	if m.Top1 != 100 || m.UntrainedTop1 != 0 || *m.KNNGainError != 25 { // two of four lost: 100 sqrt(2 - 4/4) / 4
		t.Errorf("top-1 %g against %g, kNN ± %g", m.Top1, m.UntrainedTop1, *m.KNNGainError)
	}
	if m.StandardError < 15 || *m.GainError < 30 { // four images that are all right leave doubt: see record
		t.Errorf("± %g, gain ± %g", m.StandardError, *m.GainError)
	}
	if want := "Against the untrained encoder, pretraining gained nothing beyond noise by kNN (50.00 against 100.00 %, -50.00 ± 25.00 points)."; m.Verdict != want {
		t.Errorf("%q, want %q", m.Verdict, want)
	}
}

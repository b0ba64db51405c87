package job

import (
	"testing"

	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage/classlist"
)

// TestThePostsFigureNeedsThePostsClasses: a hundred other classes of the same counts are other data.
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

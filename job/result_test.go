package job

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage/classlist"
)

// TestCardTellsDataSettingsAndMetrics: the card of a teacher tells data, settings and figures, and
// its lines for timm build the encoder of the settings.
func TestCardTellsDataSettingsAndMetrics(t *testing.T) {
	knn := 61.5
	r := settings.Result{Run: "R-A05-B08-s3", Preset: "R-A05-B08", Recipe: settings.Defaults().Recipe,
		Data: record.Data{Fingerprint: "f00d", Classes: 100, TrainSamples: 126689, ValidationSamples: 5000},
		Metrics: record.Metrics{Top1: 70.064, StandardError: 0.648, Top5: 90.1, UntrainedTop1: 11.2, KNNTop1: &knn, Updates: 49400, TeacherSHA256: "beef",
			Depths: []record.DepthMetrics{{Depth: 1, Top1: 40, UntrainedTop1: 12}, {Depth: 11, Top1: 70.064, UntrainedTop1: 11.2}}},
	}
	r.Recipe.Seed = 3
	var b bytes.Buffer
	if err := cardTemplate.Execute(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# R-A05-B08-s3:", "preset `R-A05-B08`, seed 3", "126689 training and 5000 validation images, 100 classes", "`f00d`", "49400 of 512 images (200 epochs)",
		"depths 1-11, all-to-last weight 0.5, last-to-last weight 0.8, 2 intermediate rows", "| top-1 | 70.06 % (standard error 0.65) |", "| top-5 | 90.10 % |",
		"| top-1 of the untrained encoder | 11.20 % |", "| kNN top-1 | 61.50 % |", "`beef`", "| 1 | 40.00 | 12.00 |", "| 11 | 70.06 | 11.20 |",
		"img_size=224, patch_size=16, embed_dim=768, depth=12, num_heads=12, mlp_ratio=4,", "rope_temperature=10000.0,", `load_file("teacher.safetensors"), strict=True`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}

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

package teacher

import (
	"strings"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
)

func testResult() settings.Result {
	knn, untrainedKNN := 61.5, 25.25
	r := settings.Result{Run: "R-A05-B08-s3", Preset: "R-A05-B08", Recipe: settings.Defaults().Recipe,
		Data: record.Data{Fingerprint: "f00d", Classes: 100, TrainSamples: 126689, ValidationSamples: 5000},
		Metrics: record.Metrics{Top1: 70.064, StandardError: 0.648, Top5: 90.1, UntrainedTop1: 11.2, KNNTop1: &knn, UntrainedKNN: &untrainedKNN, Updates: 49400, TeacherSHA256: "beef",
			Depths: []record.DepthMetrics{{Depth: 1, Top1: 40, UntrainedTop1: 12}, {Depth: 11, Top1: 70.064, UntrainedTop1: 11.2}}},
	}
	r.Recipe.Seed = 3
	r.Stats.Begun, r.Versions = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), record.Versions{Program: "v1.2", Commit: "c0ffee", GoMLX: "v0.30"}
	return r
}

// TestCardTellsDataSettingsAndMetrics: the card of a teacher tells data, settings and figures, and
// its lines for timm build the encoder of the settings.
func TestCardTellsDataSettingsAndMetrics(t *testing.T) {
	text, err := ResultCard(testResult()).Markdown()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"---\nlibrary_name: timm\npipeline_tag: image-feature-extraction\n", "datasets:\n- \"imagenet-100\"\nmodel-index:\n- name: \"R-A05-B08-s3\"\n", "value: 70.06\n",
		"# R-A05-B08-s3:", "preset `R-A05-B08`, seed 3) after 49400 updates", "126689 training and 5000 validation images, 100 classes", "`f00d`", "49400 of 512 images (200 epochs",
		"depths 1-11, all-to-last weight 0.5, last-to-last weight 0.8, 2 intermediate rows", "| top-1 | 70.06 % (standard error 0.65) |", "| top-5 | 90.10 % |",
		"| top-1 of the untrained encoder | 11.20 % |", "| kNN top-1 | 61.50 % |", "| kNN top-1 of the untrained encoder | 25.25 % |", "| begun | 2026-11-01, with cijepa v1.2 c0ffee, GoMLX v0.30 |", "one run with one seed", "`beef`", "| 1 | 40.00 | 12.00 |", "| 11 | 70.06 | 11.20 |",
		"img_size=224, patch_size=16, embed_dim=768, depth=12, num_heads=12, mlp_ratio=4,", "rope_temperature=10000.0,", `load_file("teacher.safetensors"), strict=True`,
		"# [1, 196, 768]\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, no := range []string{"Against the untrained encoder", "model.blocks", "no value"} {
		if strings.Contains(string(text), no) {
			t.Errorf("%q in\n%s", no, text)
		}
	}
}

// TestCardSaysThatPretrainingDidNotHelp in bold, before all figures.
func TestCardSaysThatPretrainingDidNotHelp(t *testing.T) {
	r := testResult()
	r.Metrics.UntrainedTop1 = 70
	text, err := ResultCard(r).Markdown()
	if err != nil {
		t.Fatal(err)
	}
	want := "\n\n**Against the untrained encoder, pretraining gained nothing beyond noise by linear probe (70.06 against 70.00 %, +0.06 ± 0.92 points).**\n\n| | |\n"
	if !strings.Contains(string(text), want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

// TestCardOfACheckpointHasNoFigures: an encoder that no probe has seen has a card without figures,
// and one with blocks behind the deepest depth takes them off.
func TestCardOfACheckpointHasNoFigures(t *testing.T) {
	c := Card{Run: "r", Preset: "demo", Recipe: settings.Defaults().Recipe, Network: "student", File: hubFile, Step: 400}
	c.Recipe.Depths = settings.DepthSet{3, 7}
	text, err := c.Markdown()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"is the student of run `r`", "after 400 updates", "No loss reached the blocks from 8 on", "No probe has seen this encoder."} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if n := strings.Count(string(text), "\nmodel.blocks = model.blocks[:8]"); n != 2 {
		t.Errorf("%d of two pieces of code take them off", n)
	}
	for _, no := range []string{"model-index", "top-1", "figures below"} {
		if strings.Contains(string(text), no) {
			t.Errorf("%q in\n%s", no, text)
		}
	}
}

// TestCardShowsThePicturesOfItsRun, with what they show in words, whatever the names of classes,
// and no pictures where there are none.
func TestCardShowsThePicturesOfItsRun(t *testing.T) {
	r := testResult()
	of := record.Components{Shares: []float64{0.5, 0.2, 0.1}, Follows: []string{record.Centre, record.Centre, ""}, R: []float64{0.8, 0.3, 0}}
	r.Pictures = &record.Pictures{
		Split: "val", Components: record.Sheet{File: record.ComponentsFile}, Neighbours: &record.Sheet{File: record.NeighboursFile},
		Images: []record.PicturedImage{{Sample: 4, Class: "a]b*", Neighbours: []record.Neighbour{{Sample: 1, Class: "a]b*"}, {Sample: 2, Class: "<c>"}}}},
		Depths: []record.PicturedDepth{{Depth: 11, Teacher: of, Untrained: of}},
	}
	text, err := ResultCard(r).Markdown()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`![1 validation images (a\]b\*), each beside`, "](components.jpg)\n", "| 11 | 50 + 20 + 10 %; centre 0.80, centre 0.30, nothing |",
		`1 of 2 have its class. a\]b\*: 1 of 2, and &lt;c>.](neighbours.jpg)`, "1 of 2 are of its class. A blue frame",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	c := ResultCard(r)
	c.Result = nil
	if text, err = c.Markdown(); err != nil || strings.Contains(string(text), ".jpg)") {
		t.Errorf("%v: an encoder without figures has the run's pictures:\n%s", err, text)
	}
}

package settings

import (
	"fmt"
	"strings"
	"time"
)

// Preset is one row of the post's table (model/reference/METHOD.md, section 5): the settings in
// which its twelve runs differ.
type Preset struct {
	Name             string
	Depths           DepthSet
	Epochs           int
	AllToLastWeight  Weight
	LastToLastWeight Weight
	IntermediateRows int
	PostTop1         float64 // percent, as the post prints it
}

// Presets returns the rows in the order of the post.
func Presets() []Preset {
	none := Weight{}
	return []Preset{
		{"L200", span(11, 11), 200, none, none, 0, 64.04},
		{"L300", span(11, 11), 300, none, none, 0, 66.96},
		{"R-U", span(1, 11), 200, none, none, 2, 67.34},
		{"R-A05-B05", span(1, 11), 200, weight(0.5), none, 2, 68.96},
		{"R-A08-B08", span(1, 11), 200, weight(0.8), none, 2, 66.94},
		{"R-A05-B08", span(1, 11), 200, weight(0.5), weight(0.8), 2, 70.06},
		{"R-A05-B08-12", span(0, 11), 200, weight(0.5), weight(0.8), 2, 69.1},
		{"R-B05", span(1, 11), 200, none, weight(0.5), 2, 68.42},
		{"R-B08", span(1, 11), 200, none, weight(0.8), 2, 69.36},
		{"R-A05-B10", span(1, 11), 200, weight(0.5), weight(1), 2, 69.22},
		{"R-A.-B05", span(1, 11), 200, none, weight(0.5), 0, 64.66},
		{"R-A.-B08", span(1, 11), 200, none, weight(0.8), 0, 66.02},
	}
}

// Apply sets the settings of the row.
func (p Preset) Apply(c *Config) {
	c.Depths, c.Epochs, c.IntermediateRows = p.Depths, p.Epochs, p.IntermediateRows
	c.AllToLastWeight, c.LastToLastWeight = p.AllToLastWeight, p.LastToLastWeight
}

// Demo names the preset of the demonstration: the method at sizes that two cores train in minutes.
const Demo = "demo"

// applyPreset sets the settings of the preset, whose name it takes in any case.
func (c *Config) applyPreset() error {
	if strings.EqualFold(c.Preset, Demo) {
		c.Preset = Demo
		c.demo()
		return nil
	}
	var names []string
	for _, p := range Presets() {
		if strings.EqualFold(c.Preset, p.Name) {
			c.Preset = p.Name
			p.Apply(c)
			return nil
		}
		names = append(names, p.Name)
	}
	guess := ""
	if near := Nearest(c.Preset, append(names, Demo), 2); near != "" {
		guess = "did you mean " + near + "? It is "
	}
	return fmt.Errorf("%sone of %s, or %s", guess, strings.Join(names, ", "), Demo)
}

// CheckUnlabelled returns an *Error with every setting of probe and kNN that is not the preset's:
// on data without labels it could have no effect. KNN_K=0, which asks for no kNN, is none.
func (c Config) CheckUnlabelled() error {
	plain, faults := Defaults(), &Error{}
	plain.Preset = c.Preset
	if err := plain.applyPreset(); err != nil {
		return NewError("Preset", c.Preset, err.Error())
	}
	was := fields(&plain.Recipe)
	for i, s := range fields(&c.Recipe) {
		name := s.field.Name
		ofLabels := strings.HasPrefix(name, "Probe") || strings.HasPrefix(name, "KNN")
		if now := fmt.Sprint(s.value); ofLabels && now != fmt.Sprint(was[i].value) && !(name == "KNNK" && c.KNNK == 0) {
			faults.Add(s.variable, now, fmt.Sprintf("of no use: %s=%s has no labels, so that there is no probe and no kNN; leave it out", Variable("Data"), c.Data))
		}
	}
	return faults.OrNil()
}

// demo sets the sizes of the demonstration: images of 28 pixels on a grid of 7x7, four narrow
// blocks, a fast teacher. So short a run learns most from small batches and after a long warm-up.
func (c *Config) demo() {
	c.Data = "fashion-mnist"
	c.Image, c.Patch, c.Width, c.Depth, c.Heads = 28, 4, 64, 4, 4
	c.PredictorWidth, c.PredictorDepth, c.PredictorHeads = 32, 1, 2
	c.Depths, c.IntermediateRows, c.Precision = span(1, 3), 1, "float32"
	c.Epochs, c.Batch, c.PeakLR, c.EMAMomentum, c.Warmup = 8, 32, 7e-4, 0.95, 0.3
	c.CropScale = Range{1, 1} // so short a run learns more from whole images
	c.ProbeEpochs, c.ProbeBatch, c.ProbeLR, c.ProbeCropScale, c.ProbeWhiten = 1, 64, 0.03, Range{0.5, 1}, true
	c.KNNBank = 3000
	c.SaveEvery, c.KeepEvery, c.LogEvery, c.EvalEvery = 20*time.Second, 1, 50, 4
}

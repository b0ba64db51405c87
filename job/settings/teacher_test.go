package settings

import "testing"

// TestTeacherNames: a run, a checkpoint of one, a file; what is none of them is refused. A name is
// written as it is read.
func TestTeacherNames(t *testing.T) {
	for text, want := range map[string]TeacherName{
		"":               {},
		"runs/a-s0":      {Run: "a-s0"},
		"runs/a-s0@4200": {Run: "a-s0", Step: 4200},
		"s3://bucket/some/teacher.safetensors?region=eu-west-1": {URL: "s3://bucket/some/teacher.safetensors?region=eu-west-1"},
		"file:///tmp/a.safetensors":                             {URL: "file:///tmp/a.safetensors"},
	} {
		var got TeacherName
		if err := got.Decode(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q is read as %+v and written as %q: %v", text, got, got, err)
		}
	}
	for _, text := range []string{"a", "runs/", "runs/a@", "runs/a@0", "runs/a@-1", "runs/a@x", "runs/a/b", "s3://bucket", "s3://bucket/", "teacher.safetensors"} {
		if got := (&TeacherName{}); got.Decode(text) == nil {
			t.Errorf("%q is taken for %+v", text, *got)
		}
	}
	if place := (TeacherName{URL: "s3://b/t.safetensors?secret=x"}).Place(); place != "s3://b/t.safetensors" {
		t.Errorf("the place is %q", place)
	}
}

// TestProbeNames: a probe is named after the data, and what else is not the teacher's run's.
func TestProbeNames(t *testing.T) {
	stored := func(Config) (RunRecord, error) {
		r := RunRecord{Preset: Demo, Recipe: Defaults().Recipe}
		r.Recipe.Seed, r.Recipe.Data = 3, "own/data"
		return r, nil
	}
	for _, c := range []struct {
		set       map[string]string
		run, name string
	}{
		{nil, "R-A05-B08-s0", "own-data"},
		{map[string]string{"CIJEPA_TEACHER": "runs/x"}, "x", "own-data"},
		{map[string]string{"CIJEPA_TEACHER": "runs/x@40", "CIJEPA_SEED": "3"}, "x", "own-data-step40"},
		{map[string]string{"CIJEPA_TEACHER": "runs/x", "CIJEPA_RUN": "y", "CIJEPA_DATA": "c", "CIJEPA_PROBE_SHARE": "0.01", "CIJEPA_SEED": "4"}, "y", "c-0.01-seed4"},
		{map[string]string{"CIJEPA_TEACHER": "s3://b/t.safetensors", "CIJEPA_RUN": "y", "CIJEPA_SEED": "4"}, "y", "imagenet-100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("CIJEPA_BUCKET", "mem://")
			for variable, value := range c.set {
				t.Setenv(variable, value)
			}
			cfg, name, err := LoadProbe(stored)
			if err != nil || cfg.Run != c.run || name != c.name {
				t.Errorf("%v: probe %q of run %q (%v), want %q of %q", c.set, name, cfg.Run, err, c.name, c.run)
			}
		})
	}
}

// TestProbeOfAnEncoderWithUntrainedBlocks is no fault: the recipe of a run is taken as it is, and
// of a file any depths may be probed.
func TestProbeOfAnEncoderWithUntrainedBlocks(t *testing.T) {
	t.Setenv("CIJEPA_BUCKET", "mem://")
	stored := func(Config) (RunRecord, error) {
		r := RunRecord{Preset: Demo, Recipe: Defaults().Recipe}
		r.Recipe.Depth = 24
		return r, nil
	}
	t.Setenv("CIJEPA_TEACHER", "runs/x")
	if c, _, err := LoadProbe(stored); err != nil || c.Depth != 24 || c.Depths.String() != "1-11" {
		t.Errorf("of a run: %d blocks, depths %s, %v", c.Depth, c.Depths, err)
	}
	t.Setenv("CIJEPA_TEACHER", "file:///t.safetensors")
	t.Setenv("CIJEPA_RUN", "y")
	t.Setenv("CIJEPA_DEPTHS", "3-7")
	if c, _, err := LoadProbe(stored); err != nil || c.Depth != 12 || c.Depths.String() != "3-7" {
		t.Errorf("of a file: %d blocks, depths %s, %v", c.Depth, c.Depths, err)
	}
}

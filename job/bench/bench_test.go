package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	_ "github.com/gomlx/compute/gobackend"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// smallBench is a benchmark that two cores end in a second.
func smallBench() (settings.Config, Options) {
	cfg := settings.Defaults()
	cfg.Preset, cfg.Backend, cfg.Precision = settings.Demo, "go:ops_sequential", "float32"
	cfg.Image, cfg.Patch, cfg.Width, cfg.Depth, cfg.Heads = 28, 4, 16, 2, 4
	cfg.PredictorWidth, cfg.PredictorDepth, cfg.PredictorHeads = 32, 1, 2
	cfg.Depths, cfg.IntermediateRows, cfg.Batch = settings.DepthSet{0, 1}, 1, 4
	cfg.PeakLR = 1e-3 // steps are timed with StartLR, a tenth of it
	return cfg, Options{Steps: 2, Warmup: 1}
}

// benchOf runs a benchmark and reads its line.
func benchOf(t *testing.T, cfg settings.Config, o Options) (found result) {
	t.Helper()
	var out bytes.Buffer
	if err := Run(t.Context(), cfg, o, record.Versions{Program: "this"}, &out, storagetest.Log(t)); err != nil {
		t.Fatal(err)
	}
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("not one line: %s", &out)
	}
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	if err := d.Decode(&found); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestFiguresFitEachOther in the line that is printed.
func TestFiguresFitEachOther(t *testing.T) {
	cfg, o := smallBench()
	o.Peak = 1e12
	for _, micro := range []int{0, 2} {
		cfg.MicroBatch = micro
		f := benchOf(t, cfg, o)
		if f.Versions.Program != "this" || f.Preset != settings.Demo || f.Batch != 4 ||
			f.MicroBatch != []int{4, 0, 2}[micro] || f.Precision != model.Float32 {
			t.Errorf("measured something else: %+v", f)
		}
		if !strings.Contains(f.Device, "Go") || f.Card != nil || f.Driver != nil || f.FusedAttention != 0 || f.Products["Float32"] == 0 {
			t.Errorf("on something else: %+v", f)
		}
		masker, err := cfg.Model().Masker()
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Shapes) != len(masker.Shapes()) {
			t.Fatalf("%d shapes", len(f.Shapes))
		}
		step, flops := 0.0, 0.0
		for i, s := range masker.Shapes() {
			got := f.Shapes[i]
			if got.Target != s.Target || got.Context != s.Context || got.FLOPsPerImage != cfg.Model().FLOPs(s) {
				t.Errorf("shape %+v is %+v", s, got)
			}
			if !(0 < got.FastestSeconds && got.FastestSeconds <= got.StepSeconds && got.StepSeconds <= got.SlowestSeconds) ||
				got.FirstSeconds <= 0 || got.CompileSeconds <= 0 {
				t.Errorf("times %+v", got)
			}
			step += s.Probability * got.StepSeconds
			flops += s.Probability * got.FLOPsPerImage
		}
		near := func(what string, got, want float64) {
			if math.Abs(got/want-1) > 1e-9 {
				t.Errorf("%s %g, not %g", what, got, want)
			}
		}
		near("step", f.StepSeconds, step)
		near("images a second", f.ImagesPerSecond, 4/step)
		near("FLOPs an image", f.FLOPsPerImage, flops)
		near("FLOPs a second", f.FLOPsPerSecond, 4*flops/step)
		near("share", *f.MFU, 4*flops/step/1e12)
		near("peak", *f.Peak, 1e12)
		if f.UploadBytes != 4*28*28*3 || f.UploadSeconds <= 0 || f.GapSeconds < 0 || f.GapSeconds > step ||
			f.StateBytes <= 0 || f.StateSeconds <= 0 || f.PauseSeconds <= 0 || f.SavingRate <= 0 ||
			f.Estimate <= 2*f.StateBytes {
			t.Errorf("figures %+v", f)
		}
		if math.Abs(*f.FirstLoss-1) > 0.3 || *f.LastLoss == *f.FirstLoss || f.Skipped != 0 {
			t.Errorf("loss %g, then %g, %d skipped", *f.FirstLoss, *f.LastLoss, f.Skipped)
		}
	}
}

// TestOneShapeOfAnyLengths: no mask of the run has them, but another program may be timed with
// them.
func TestOneShapeOfAnyLengths(t *testing.T) {
	cfg, o := smallBench()
	o.Target, o.Context = 7, 13
	f := benchOf(t, cfg, o)
	if len(f.Shapes) != 1 || f.Shapes[0].Target != 7 || f.Shapes[0].Context != 13 || f.Shapes[0].Probability != 1 ||
		f.Peak != nil || f.MFU != nil {
		t.Errorf("found %+v", f)
	}
}

// TestLossThatIsNotFiniteIsNull, because JSON has no such number; the times are printed all the
// same.
func TestLossThatIsNotFiniteIsNull(t *testing.T) {
	cfg, o := smallBench()
	cfg.PeakLR = 1e31
	o.Target, o.Context, o.Steps = 7, 13, 4
	f := benchOf(t, cfg, o)
	if f.FirstLoss == nil || f.LastLoss != nil || f.Skipped == 0 || f.StepSeconds <= 0 {
		t.Errorf("found %+v", f)
	}
}

// TestFaultsNameTheirFlagOrVariable, and nothing is printed.
func TestFaultsNameTheirFlagOrVariable(t *testing.T) {
	for want, spoil := range map[string]func(*settings.Config, *Options){
		"-steps":         func(_ *settings.Config, o *Options) { o.Steps = 0 },
		"-warmup":        func(_ *settings.Config, o *Options) { o.Warmup = -1 },
		"-peak":          func(_ *settings.Config, o *Options) { o.Peak = math.Inf(1) },
		"-target":        func(_ *settings.Config, o *Options) { o.Target = 7 },
		"-context":       func(_ *settings.Config, o *Options) { o.Target, o.Context = 7, 50 },
		"CIJEPA_BACKEND": func(c *settings.Config, _ *Options) { c.Backend = "nonsense" },
	} {
		cfg, o := smallBench()
		spoil(&cfg, &o)
		var out bytes.Buffer
		err := Run(t.Context(), cfg, o, record.Versions{}, &out, storagetest.Log(t))
		if err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%s: %v, printed %q", want, err, &out)
		}
	}
	errStop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errStop)
	cfg, o := smallBench()
	if err := Run(ctx, cfg, o, record.Versions{}, &bytes.Buffer{}, storagetest.Log(t)); !errors.Is(err, errStop) {
		t.Errorf("stopped: %v", err)
	}
}

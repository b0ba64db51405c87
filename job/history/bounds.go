package history

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"github.com/cijepa/cijepa/job/record"
)

// What lies beyond these bounds is damaged: no run writes it, and drawing it would take a page's
// whole memory.
const (
	maxValue    = 1e12
	maxDepths   = 64
	maxText     = 4096 // bytes of a string or a setting
	maxSettings = 500

	maxShown  = 64   // images of the pictures, and neighbours of each
	maxPixels = 8192 // of a side of a sheet

	maxRecord        = 4 << 20   // bytes of run.json or result.json
	maxSheet         = 1 << 20   // bytes of a sheet of the pictures
	maxPredictions   = 16 << 20  // bytes of predictions.npz: a hundred times ImageNet-100's
	maxMetricsObject = 64 << 20  // bytes of an object of metrics/
	maxMetrics       = 256 << 20 // bytes of all objects of one kind
)

// maxLines is the most lines of a kind that are read of a run. Of alarms and attempts a page shows
// each.
func maxLines(file string) int {
	switch file {
	case record.Alarms, record.Attempts:
		return 10_000
	}
	return 1_000_000
}

func checkStep(s record.Step) error {
	if s.Phase != record.Pretraining && s.Phase != record.Probing {
		return fmt.Errorf("there is no phase %.40q", s.Phase)
	}
	err := cmp.Or(checkCounts(s.Step, s.Skipped, s.Bad), checkNumber("pathways", len(s.Updates)), checkCounts(s.Updates...), checkTable(s.Table))
	for _, series := range record.StepSeries {
		err = cmp.Or(err, checkValue(series.Field, series.Of(s)))
	}
	return err
}

func checkAttempt(a record.Attempt) error {
	err := cmp.Or(checkTexts(a.Phase, a.How), checkCounts(a.From, a.Step, a.Manifest))
	if a.Saved != nil {
		err = cmp.Or(err, checkCounts(*a.Saved))
	}
	return err
}

func checkHealth(h record.Health) error {
	err := cmp.Or(checkNumber("depths", len(h.Depths)), checkCounts(h.Step), checkEpoch(float64(h.Epoch)))
	for _, series := range record.HealthSeries {
		for _, v := range series.Of(h) {
			err = cmp.Or(err, checkValue(series.Field, v))
		}
	}
	return err
}

func checkEval(e record.Eval) error {
	err := cmp.Or(checkCounts(e.Step, int64(e.Bank), int64(e.Images)), checkEpoch(float64(e.Epoch)))
	for _, series := range record.EvalSeries {
		err = cmp.Or(err, checkValue(series.Field, series.Of(e)))
	}
	return err
}

func checkAlarm(a record.Alarm) error {
	return cmp.Or(checkCounts(a.Step), checkTexts(a.Alarm, a.Text), checkEpoch(a.Epoch))
}

func checkRecord(r RunRecord) error {
	v := r.Versions
	return errors.Join(checkTexts(r.Preset, r.Fingerprint, v.Program, v.Commit, v.Build, v.Plugin, v.Driver), checkRecipe(r.Recipe))
}

func checkRecipe(recipe Recipe) error {
	if len(recipe) > maxSettings {
		return fmt.Errorf("it has %d settings", len(recipe))
	}
	for name, value := range recipe {
		if err := checkTexts(name, string(value)); err != nil {
			return err
		}
	}
	return nil
}

func checkResult(r Result) error {
	s, d := r.Stats, r.Data
	for _, v := range []*float64{&s.PretrainSeconds, &s.PretrainDevice, &s.ProbeSeconds, &s.ProbeDevice, &s.ScoreSeconds, &s.ScoreDevice,
		&s.ImagesPerSecond, &s.DataWait, &s.MachineSeconds, s.MFU, s.Cost} {
		if v != nil && !(*v >= 0 && *v <= maxValue) {
			return fmt.Errorf("stats: %g is out of range", *v)
		}
	}
	if r.PostTop1 != nil && !(*r.PostTop1 >= 0 && *r.PostTop1 <= 100) {
		return fmt.Errorf("%g is no percentage", *r.PostTop1)
	}
	if p := r.Predictions; p != nil {
		if err := checkTexts(p.File, p.SHA256); err != nil {
			return err
		}
	}
	if d.Classes > 0 && !r.Metrics.Scored() {
		return fmt.Errorf("it has no scores, on data of %d classes", d.Classes)
	}
	return errors.Join(
		checkTexts(r.Run, r.Preset, r.Device, d.Fingerprint, d.ClassesSHA256), checkRecipe(r.Recipe), checkMetrics(r.Metrics),
		checkCounts(int64(d.Classes), int64(d.TrainSamples), int64(d.ValidationSamples), s.UpdatesLost, int64(s.Killed), s.BadSamples),
	)
}

// checkCounts refuses numbers of updates, images and the like that no run has.
func checkCounts(counts ...int64) error {
	for _, n := range counts {
		if n < 0 || n > maxValue {
			return fmt.Errorf("a count is out of range: %d", n)
		}
	}
	return nil
}

// checkNumber refuses more depths, or what there is one of for each, than a network has.
func checkNumber(of string, n int) error {
	if n > maxDepths {
		return fmt.Errorf("%d %s are more than %d", n, of, maxDepths)
	}
	return nil
}

func checkEpoch(epoch float64) error { return checkValue("epoch", &epoch) }

func checkTexts(texts ...string) error {
	for _, text := range texts {
		if len(text) > maxText {
			return fmt.Errorf("a text has %d bytes", len(text))
		}
	}
	return nil
}

func checkMetrics(m record.Metrics) error {
	if err := cmp.Or(checkNumber("depths", len(m.Depths)), checkNumber("pathways", len(m.PathwayCounts))); err != nil {
		return err
	}
	percent := []*float64{&m.Top1, &m.Top5, &m.UntrainedTop1, m.KNNTop1, m.UntrainedKNN}
	if r := m.Ridge; r != nil {
		percent = append(percent, &r.Top1, &r.UntrainedTop1, &r.PatchesTop1, &r.PixelsTop1)
	}
	for i := range m.Depths {
		d := &m.Depths[i]
		percent = append(percent, &d.Top1, &d.Top5, &d.UntrainedTop1)
		if d.Depth < 0 || d.Depth > maxValue {
			return fmt.Errorf("there is no depth %d", d.Depth)
		}
	}
	for _, v := range percent {
		if v != nil && (*v < 0 || *v > 100) {
			return fmt.Errorf("%g is no percentage", *v)
		}
	}
	return errors.Join(checkTexts(m.TeacherSHA256, m.StateSHA256, m.Verdict), checkCounts(m.Updates, m.Skipped), checkCounts(m.PathwayCounts...),
		checkValue("loss", m.Loss), checkValue("top1_standard_error", &m.StandardError),
		checkValue("gain_standard_error", m.GainError), checkValue("knn_gain_standard_error", m.KNNGainError),
		checkTable(m.Table))
}

func checkTable(table [][]*float64) error {
	if err := checkNumber("rows of a table", len(table)); err != nil {
		return err
	}
	for _, row := range table {
		if len(row) != len(table) {
			return fmt.Errorf("a table of %d rows has one of %d cells", len(table), len(row))
		}
		for _, v := range row {
			if err := checkValue("table", v); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkValue(field string, v *float64) error {
	if v != nil && math.Abs(*v) > maxValue {
		return fmt.Errorf("%s is out of range: %g", field, *v)
	}
	return nil
}

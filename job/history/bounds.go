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
	if err := checkCounts(s.Step, s.Skipped, s.Bad); err != nil {
		return err
	}
	if len(s.Updates) > maxDepths {
		return fmt.Errorf("%d pathways are more than %d", len(s.Updates), maxDepths)
	}
	if err := checkCounts(s.Updates...); err != nil {
		return err
	}
	for _, series := range record.StepSeries {
		if err := checkValue(series.Field, series.Of(s)); err != nil {
			return err
		}
	}
	return checkTable(s.Table)
}

func checkAttempt(a record.Attempt) error {
	if err := checkTexts(a.Phase, a.How); err != nil {
		return err
	}
	if a.Saved != nil {
		if err := checkCounts(*a.Saved); err != nil {
			return err
		}
	}
	return checkCounts(a.From, a.Step, a.Manifest)
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
	amounts := []float64{s.PretrainSeconds, s.PretrainDevice, s.ProbeSeconds, s.ProbeDevice, s.ScoreSeconds, s.ScoreDevice,
		s.ImagesPerSecond, s.DataWait, s.MachineSeconds}
	for _, v := range []*float64{s.MFU, s.Cost} {
		if v != nil {
			amounts = append(amounts, *v)
		}
	}
	for i := range amounts {
		if err := checkValue("stats", &amounts[i]); err != nil || amounts[i] < 0 {
			return cmp.Or(err, fmt.Errorf("stats: %g is below zero", amounts[i]))
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

func checkTexts(texts ...string) error {
	for _, text := range texts {
		if len(text) > maxText {
			return fmt.Errorf("a text has %d bytes", len(text))
		}
	}
	return nil
}

func checkHealth(h record.Health) error {
	if len(h.Depths) > maxDepths {
		return fmt.Errorf("%d depths are more than %d", len(h.Depths), maxDepths)
	}
	if err := checkCounts(h.Step); err != nil {
		return err
	}
	epoch := float64(h.Epoch)
	if err := checkValue("epoch", &epoch); err != nil {
		return err
	}
	for _, series := range record.HealthSeries {
		for _, v := range series.Of(h) {
			if err := checkValue(series.Field, v); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkEval(e record.Eval) error {
	if err := checkCounts(e.Step, int64(e.Bank), int64(e.Images)); err != nil {
		return err
	}
	epoch := float64(e.Epoch)
	if err := checkValue("epoch", &epoch); err != nil {
		return err
	}
	for _, series := range record.EvalSeries {
		if err := checkValue(series.Field, series.Of(e)); err != nil {
			return err
		}
	}
	return nil
}

func checkAlarm(a record.Alarm) error {
	if err := errors.Join(checkCounts(a.Step), checkTexts(a.Alarm, a.Text)); err != nil {
		return err
	}
	return checkValue("epoch", &a.Epoch)
}

func checkMetrics(m record.Metrics) error {
	if n := len(m.Depths); n > maxDepths {
		return fmt.Errorf("it has scores of %d depths", n)
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
	if n := len(m.PathwayCounts); n > maxDepths {
		return fmt.Errorf("it has the counts of %d pathways", n)
	}
	if err := errors.Join(checkTexts(m.TeacherSHA256, m.StateSHA256, m.Verdict), checkCounts(m.Updates, m.Skipped), checkCounts(m.PathwayCounts...),
		checkValue("loss", m.Loss), checkValue("top1_standard_error", &m.StandardError),
		checkValue("gain_standard_error", m.GainError), checkValue("knn_gain_standard_error", m.KNNGainError)); err != nil {
		return err
	}
	return checkTable(m.Table)
}

func checkTable(table [][]*float64) error {
	if len(table) > maxDepths {
		return fmt.Errorf("a table of %d rows is larger than %d", len(table), maxDepths)
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

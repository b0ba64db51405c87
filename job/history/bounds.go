package history

import (
	"fmt"
	"math"

	"github.com/cijepa/cijepa/job/record"
)

// What lies beyond these bounds is damaged: no run writes it, and drawing it would take a page's
// whole memory.
const (
	maxValue  = 1e12
	maxDepths = 64
)

func checkStep(s record.Step) error {
	for _, series := range record.StepSeries {
		if err := checkValue(series.Field, series.Of(s)); err != nil {
			return err
		}
	}
	return checkTable(s.Table)
}

func checkHealth(h record.Health) error {
	if len(h.Depths) > maxDepths {
		return fmt.Errorf("%d depths are more than %d", len(h.Depths), maxDepths)
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

func checkAlarm(a record.Alarm) error { return checkValue("epoch", &a.Epoch) }

func checkMetrics(m record.Metrics) error {
	if n := len(m.Depths); n == 0 || n > maxDepths {
		return fmt.Errorf("it has scores of %d depths", n)
	}
	percent := []*float64{&m.Top1, &m.Top5, &m.UntrainedTop1, m.KNNTop1, m.UntrainedKNN}
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

package model

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

func TestGoldenSchedules(t *testing.T) {
	const file = "testdata/schedules.json"
	t.Log(file)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Total, Warmup      int64
		Start, Peak, Final float64
		EMA                [2]float64
		Rows               []struct {
			Step         int64
			LearningRate float64 `json:"learning_rate"`
			Momentum     float64
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Rows) == 0 {
		t.Fatal("no rows")
	}
	s := Schedule{
		Total: golden.Total, Warmup: golden.Warmup,
		Start: golden.Start, Peak: golden.Peak, Final: golden.Final,
		StartMomentum: golden.EMA[0], EndMomentum: golden.EMA[1],
	}
	for _, row := range golden.Rows {
		if got := s.LR(row.Step); math.Abs(got-row.LearningRate) > 1e-9*row.LearningRate {
			t.Errorf("rate of update %d is %.15g, want %.15g", row.Step, got, row.LearningRate)
		}
		if got := s.EMAMomentum(row.Step); math.Abs(got-row.Momentum) > 1e-9*row.Momentum {
			t.Errorf("momentum of update %d is %.15g, want %.15g", row.Step, got, row.Momentum)
		}
	}
}

// Short runs have no warm-up, or nothing after it; no rate may be NaN or outside the schedule's own bounds.
func TestScheduleEdges(t *testing.T) {
	for _, c := range []struct{ total, warmup int64 }{{1, 0}, {1, 1}, {2, 1}, {3, 3}, {10, 0}, {40, 1}} {
		s := Schedule{Total: c.total, Warmup: c.warmup, Start: 0.1, Peak: 1, Final: 0.01, StartMomentum: 0.9, EndMomentum: 1}
		for k := int64(1); k <= c.total+1; k++ {
			if r := s.LR(k); !(r >= 0.01 && r <= 1) {
				t.Errorf("%+v: rate of update %d is %v", c, k, r)
			}
			if m := s.EMAMomentum(k); !(m >= 0.9 && m <= 1) {
				t.Errorf("%+v: momentum of update %d is %v", c, k, m)
			}
		}
		if got := s.EMAMomentum(1); got != 0.9 {
			t.Errorf("%+v: the first momentum is %v", c, got)
		}
		if got := s.LR(c.total); c.total > c.warmup && got != 0.01 {
			t.Errorf("%+v: the last rate is %v", c, got)
		}
	}
}

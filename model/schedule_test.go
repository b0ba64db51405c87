package model

import (
	"encoding/json"
	"math"
	"os"
	"slices"
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

// Short runs have no warm-up, or nothing after it. No learning rate is NaN or out of bounds.
func TestShortSchedulesStayInBounds(t *testing.T) {
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

// With the post's depths 1..11 and two rows every pathway but the deepest is trained in a fifth of
// the steps, and all 45 pairs are equally frequent.
func TestSampledPairsAreUniform(t *testing.T) {
	depths := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	const steps = 45_000
	pairs := map[[2]int]int{}
	for step := range int64(steps) {
		s := SampleDepths(depths, 2, 1, step)
		if len(s) != 3 || !(s[0] < s[1] && s[1] < s[2]) || s[2] != 11 || s[0] < 1 {
			t.Fatalf("step %d samples %v", step, s)
		}
		pairs[[2]int(s[:2])]++
	}
	if len(pairs) != 45 {
		t.Errorf("%d pairs, want 45", len(pairs))
	}
	for pair, n := range pairs {
		if math.Abs(float64(n)-steps/45) > 5*math.Sqrt(steps/45) {
			t.Errorf("pair %v comes %d times in %d steps", pair, n, steps)
		}
	}
}

func TestSampledDepthsAscendAndRepeat(t *testing.T) {
	sparse := []int{0, 3, 7, 11}
	for rows := range 4 {
		s := SampleDepths(sparse, rows, 9, 123)
		if len(s) != rows+1 || s[rows] != 11 || !slices.IsSorted(s) {
			t.Errorf("%d rows of %v: %v", rows, sparse, s)
		}
		for _, d := range s {
			if !slices.Contains(sparse, d) {
				t.Errorf("%d rows: %d is none of %v", rows, d, sparse)
			}
		}
		if again := SampleDepths(sparse, rows, 9, 123); !slices.Equal(s, again) {
			t.Errorf("%d rows: %v, then %v", rows, s, again)
		}
	}
	if s := SampleDepths([]int{11}, 0, 1, 1); !slices.Equal(s, []int{11}) {
		t.Errorf("the single depth: %v", s)
	}
	same := 0
	for step := range int64(1000) {
		if slices.Equal(SampleDepths(sparse, 1, 1, step), SampleDepths(sparse, 1, 2, step)) {
			same++
		}
	}
	if same < 250 || same > 420 { // a third
		t.Errorf("two seeds agree in %d of 1000 steps", same)
	}
}

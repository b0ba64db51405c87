package record

import (
	"testing"
	"time"
)

// TestLost: what was made and not committed is lost, whoever ran beside.
func TestLost(t *testing.T) {
	at := func(hours int) time.Time { return time.Date(2026, 1, 1, hours, 0, 0, 0, time.UTC) }
	count := func(n int64) *int64 { return &n }
	killed := func(begun int, from, reached int64) Attempted {
		a := Attempted{Begun: Attempt{Time: at(begun), Phase: Pretraining, From: from, Step: from}}
		a.Last = a.Begun
		a.Saw(Pretraining, reached)
		return a
	}
	ended := func(begun, end int, from, reached, saved int64, how string) Attempted {
		a := killed(begun, from, reached)
		a.Last, a.Ended = Attempt{Time: at(end), Phase: Pretraining, From: from, Step: reached, Saved: count(saved), How: how}, true
		return a
	}
	probed := killed(3, 100, 100)
	probed.Saw(Probing, 7)
	back := Attempted{Begun: Attempt{Time: at(5), Phase: Probing, From: 4, Step: 4}}
	back.Last = back.Begun
	early := killed(3, 90, 100)
	early.Saw(Probing, 50)
	known := ended(0, 1, 0, 120, 100, Stopped)
	known.Last.Manifest = 6
	for name, c := range map[string]struct {
		all  []Attempted
		want int64
	}{
		"none":                                       {nil, 0},
		"at work":                                    {[]Attempted{killed(0, 0, 50)}, 0},
		"killed behind its checkpoint":               {[]Attempted{killed(0, 0, 50), killed(1, 40, 60)}, 10},
		"stopped, all saved":                         {[]Attempted{ended(0, 1, 0, 50, 50, Stopped), killed(2, 50, 50)}, 0},
		"stopped, not all saved":                     {[]Attempted{ended(0, 1, 0, 50, 30, Stopped), killed(2, 30, 40)}, 20},
		"what it saved was damaged":                  {[]Attempted{ended(0, 1, 0, 50, 50, Stopped), killed(2, 30, 40)}, 20},
		"overtaken beside one that goes on":          {[]Attempted{ended(0, 4, 100, 127, 127, Stopped), ended(1, 2, 100, 109, 100, Overtaken), killed(5, 127, 130)}, 9},
		"killed in the probe":                        {[]Attempted{probed, back}, 3},
		"killed before the probe was saved":          {[]Attempted{early, killed(4, 100, 100)}, 50},
		"killed in pretraining, which another ended": {[]Attempted{killed(0, 0, 50), back}, 0},
		"stopped, and gone on with by a version that does not tell": {[]Attempted{known, killed(2, 90, 95)}, 30},
	} {
		if got := Lost(c.all); got != c.want {
			t.Errorf("%s: %d updates lost, want %d", name, got, c.want)
		}
	}
}

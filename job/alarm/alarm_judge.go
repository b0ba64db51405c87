package alarm

import (
	"fmt"
	"math"
	"slices"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
)

// Rules holds what a run says of itself against the limits of alarm_limits.go. What it finds is a function of the lines,
// in their order; times and restarts do not count.
type Rules struct {
	depths           []int
	rows             int   // source depths sampled in an update beside the deepest
	normed           bool  // targets are normalised
	warmup, perEpoch int64 // updates
	memory           *State
}

// New judges the lines of a run: its depths, its sampled source rows, whether targets are normalised, the updates of its
// warm-up and of an epoch. What it remembers it keeps in memory.
func New(depths []int, rows int, normed bool, warmup, perEpoch int64, memory *State) Rules {
	return Rules{depths: depths, rows: rows, normed: normed, warmup: warmup, perEpoch: perEpoch, memory: memory}
}

// settled says whether a run has warmed up.
func (g Rules) settled(step int64) bool { return step > max(g.warmup, settledAfter) }

// Evaluate judges a line of the journal.
func (g Rules) Evaluate(line any) []record.Alarm {
	switch l := line.(type) {
	case record.Step:
		if l.Phase == record.Pretraining {
			return slices.Concat(g.pathways(l), g.table(l))
		}
	case record.Health:
		if l.Step > g.memory.Judged {
			return g.health(l)
		}
	case record.Eval:
		if g.settled(l.Step) { // learning begins with a fall below the untrained encoder
			return g.online(l)
		}
	}
	return nil
}

// EvaluateUpdate takes note of one update.
func (g Rules) EvaluateUpdate(step int64, skipped bool) []record.Alarm {
	m := g.memory
	m.Skips = slices.DeleteFunc(m.Skips, func(s int64) bool { return s <= step-skipWindow })
	if skipped {
		m.Skips = append(m.Skips, step)
	}
	n := float64(len(m.Skips))
	r := reading{value: &n, limit: mostSkips, bad: n > mostSkips, well: n == 0}
	return g.ring(record.AlarmNotFinite, step, []reading{r}, func(r reading) string {
		return fmt.Sprintf("%g of the last %d updates were skipped, because a gradient was not finite; %d in a row end the run: lower %s", n, skipWindow, MaxSkipped, settings.Variable("PeakLR"))
	})
}

// pathways compares how often the pathways were updated with how often they are by chance: the deepest always, the others
// by the share that is sampled.
func (g Rules) pathways(line record.Step) []record.Alarm {
	n := float64(line.Step - line.Skipped)
	if n < settledAfter {
		return nil // too early to tell
	}
	var all []reading
	for i := range g.depths {
		share := 1.0
		if sampled := len(g.depths) - 1; i < sampled {
			share = float64(g.rows) / float64(sampled)
		}
		got, most := float64(line.Updates[i])/n, pathwayDeviations*math.Sqrt(share*(1-share)/n)
		off := math.Abs(got - share)
		all = append(all, reading{
			depth: &g.depths[i], value: record.Finite(100 * got), limit: 100 * (share + math.Copysign(most, got-share)), excess: off,
			bad: off > most, well: off <= most*(1-wellAgain),
		})
	}
	return g.ring(record.AlarmPathway, line.Step, all, func(r reading) string {
		return fmt.Sprintf("source depth %d took part in %s %% of the updates, and chance explains no more than %s %%: this is a fault of the program, and what comes out is not the method's", *r.depth, figure(r.value), settings.FormatNumber(r.limit))
	})
}

// table looks for pairs that are predicted worse than by zero.
func (g Rules) table(line record.Step) []record.Alarm {
	m := g.memory
	if !g.normed || !g.settled(line.Step) {
		return nil
	}
	if m.Settled == nil {
		m.Settled = line.Updates
	}
	var all []reading
	for i, row := range line.Table {
		if line.Updates[i] == m.Settled[i] {
			continue // what it shows is of the warm-up
		}
		worst := reading{excess: -1}
		for t, mse := range row {
			if x := above(mse); x > worst.excess {
				worst = reading{depth: &g.depths[i], to: &g.depths[t], value: mse, limit: mostMSE, excess: x, bad: x > mostMSE, well: x < mostMSE*(1-wellAgain)}
			}
		}
		all = append(all, worst)
	}
	return g.ring(record.AlarmTable, line.Step, all, func(r reading) string {
		return fmt.Sprintf("source depth %d predicts target depth %d with an error of %s, and a prediction of zero has 1: this pathway has learnt nothing, or has come undone: look at %s", *r.depth, *r.to, figure(r.value), settings.Variable("PeakLR"))
	})
}

// health judges the teacher at the end of an epoch.
func (g Rules) health(line record.Health) []record.Alarm {
	m := g.memory
	var deviation, rank, size []reading
	for i := range line.Depths {
		depth := &line.Depths[i]
		if g.settled(line.Step) { // until then features may fall, and rise again
			deviation = append(deviation, atLeast(leastDeviation, depth, line.Std[i]))
			least := float64(leastRank)
			if m.Ranks != nil {
				least = max(least, m.Ranks[i]/mostRankFall)
			}
			rank = append(rank, atLeast(least, depth, line.Rank[i]))
		}
		most, x := float64(mostRMS), above(line.RMS[i])
		if m.RMS != nil && m.RMS[i] != nil {
			most = min(most, mostGrowth**m.RMS[i])
		}
		size = append(size, reading{depth: depth, value: line.RMS[i], limit: most, excess: x / most, bad: x > most, well: x < most*(1-wellAgain)})
	}
	if m.Judged = line.Step; g.settled(line.Step) {
		m.RMS = line.RMS
		if m.Ranks == nil {
			m.Ranks = make([]float64, len(line.Depths))
		}
		for i, rank := range line.Rank {
			if rank != nil {
				m.Ranks[i] = max(m.Ranks[i], *rank)
			}
		}
	}
	advice := fmt.Sprintf("; lower %s, or raise %s", settings.Variable("PeakLR"), settings.Variable("EMAMomentum"))
	return slices.Concat(
		g.ring(record.AlarmCollapse, line.Step, deviation, func(r reading) string {
			return fmt.Sprintf("the teacher's features of depth %d deviate by %s over images, and healthy ones by 0.3 to 1: images look alike to it", *r.depth, figure(r.value)) + advice
		}),
		g.ring(record.AlarmRank, line.Step, rank, func(r reading) string {
			return fmt.Sprintf("the effective rank of the teacher's features of depth %d is %s, below %s: they differ in few directions", *r.depth, figure(r.value), settings.FormatNumber(r.limit)) + advice
		}),
		g.ring(record.AlarmResidual, line.Step, size, func(r reading) string {
			return fmt.Sprintf("the teacher's residual stream after depth %d has grown to %s, above %s (%d times the epoch before, %d at most)", *r.depth, figure(r.value), settings.FormatNumber(r.limit), mostGrowth, mostRMS) + advice
		}))
}

// online judges a look of the online probe.
func (g Rules) online(line record.Eval) []record.Alarm {
	m, top1 := g.memory, line.ProbeTop1
	m.Top1 = max(m.Top1, top1)
	variance := func(percent float64) float64 { return percent * (100 - percent) / float64(line.Images) }
	fall := fallErrors * math.Sqrt(variance(m.Top1)+variance(top1))
	r := reading{value: &top1, limit: m.Top1 - fall, bad: top1 < m.Top1-fall, well: top1 > m.Top1-fall/2}
	return g.ring(record.AlarmProbe, line.Step, []reading{r}, func(r reading) string {
		return fmt.Sprintf("the online probe has fallen to %s %% from %s %%, further than chance goes on %d images: the teacher gets worse; lower %s", settings.FormatNumber(top1), settings.FormatNumber(m.Top1), line.Images, settings.Variable("PeakLR"))
	})
}

package alarm

import (
	"fmt"
	"math"
	"slices"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
)

// pathways compares how often each pathway was updated with its probability: 1 for the deepest, the
// sampled share for the others.
func (r Rules) pathways(line record.Step) []record.Alarm {
	n := float64(line.Step - line.Skipped)
	if n < minUpdates {
		return nil
	}
	var all []reading
	for i := range r.depths {
		share := 1.0
		if sampled := len(r.depths) - 1; i < sampled {
			share = float64(r.rows) / float64(sampled)
		}
		got, most := float64(line.Updates[i])/n, pathwayDeviations*math.Sqrt(share*(1-share)/n)
		off := math.Abs(got - share)
		all = append(all, reading{
			depth: &r.depths[i], value: record.Finite(100 * got), limit: 100 * (share + math.Copysign(most, got-share)),
			excess: off, bad: off > most, good: off <= most*(1-hysteresis),
		})
	}
	return r.fire(record.AlarmPathway, line.Step, all, func(worst reading) string {
		return fmt.Sprintf("source depth %d took part in %s %% of the updates, and chance explains no more than %s %%: "+
			"this is a fault of the program, and what comes out is not the method's",
			*worst.depth, format(worst.value), settings.FormatNumber(worst.limit))
	})
}

// table looks for pairs that are predicted worse than by zero. A row that was not updated since the
// warm-up is left out.
func (r Rules) table(line record.Step) []record.Alarm {
	s := r.state
	if !r.normed || !r.warm(line.Step) {
		return nil
	}
	if s.WarmupUpdates == nil {
		s.WarmupUpdates = line.Updates
	}
	var all []reading
	for i, row := range line.Table {
		if line.Updates[i] == s.WarmupUpdates[i] {
			continue
		}
		worst := reading{excess: -1}
		for t, mse := range row {
			if one := atMost(maxMSE, &r.depths[i], &r.depths[t], mse); one.excess > worst.excess {
				worst = one
			}
		}
		all = append(all, worst)
	}
	return r.fire(record.AlarmTable, line.Step, all, func(worst reading) string {
		return fmt.Sprintf("source depth %d predicts target depth %d with an error of %s, and a prediction of zero has 1: "+
			"this pathway has learnt nothing, or has come undone: look at %s",
			*worst.depth, *worst.to, format(worst.value), settings.Variable("PeakLR"))
	})
}

// health evaluates the statistics of the teacher at the end of an epoch.
func (r Rules) health(line record.Health) []record.Alarm {
	s := r.state
	var std, rank, rms []reading
	for i := range line.Depths {
		depth := &line.Depths[i]
		if r.warm(line.Step) { // during the warm-up features may fall, and rise again
			std = append(std, atLeast(minStd, depth, line.Std[i]))
			least := float64(minRank)
			if s.BestRanks != nil {
				least = max(least, s.BestRanks[i]/maxRankFall)
			}
			rank = append(rank, atLeast(least, depth, line.Rank[i]))
		}
		most := float64(maxRMS)
		if s.RMS != nil && s.RMS[i] != nil {
			most = min(most, maxRMSGrowth**s.RMS[i])
		}
		rms = append(rms, atMost(most, depth, nil, line.RMS[i]))
	}
	s.LastHealthStep = line.Step
	if r.warm(line.Step) {
		s.RMS = line.RMS
		if s.BestRanks == nil {
			s.BestRanks = make([]float64, len(line.Depths))
		}
		for i, rank := range line.Rank {
			if rank != nil {
				s.BestRanks[i] = max(s.BestRanks[i], *rank)
			}
		}
	}
	advice := fmt.Sprintf("; lower %s, or raise %s", settings.Variable("PeakLR"), settings.Variable("EMAMomentum"))
	return slices.Concat(
		r.fire(record.AlarmCollapse, line.Step, std, func(worst reading) string {
			return fmt.Sprintf("the teacher's features of depth %d deviate by %s over images, and healthy ones by 0.3 to 1: "+
				"images look alike to it",
				*worst.depth, format(worst.value)) + advice
		}),
		r.fire(record.AlarmRank, line.Step, rank, func(worst reading) string {
			return fmt.Sprintf("the effective rank of the teacher's features of depth %d is %s, below %s: "+
				"they differ in few directions",
				*worst.depth, format(worst.value), settings.FormatNumber(worst.limit)) + advice
		}),
		r.fire(record.AlarmResidual, line.Step, rms, func(worst reading) string {
			return fmt.Sprintf("the teacher's residual stream after depth %d has grown to %s, above %s "+
				"(%d times the epoch before, %d at most)",
				*worst.depth, format(worst.value), settings.FormatNumber(worst.limit), maxRMSGrowth, maxRMS) + advice
		}))
}

// eval compares the top-1 of the online probe with its best.
func (r Rules) eval(line record.Eval) []record.Alarm {
	s, top1 := r.state, line.ProbeTop1
	s.BestTop1 = max(s.BestTop1, top1)
	fall := maxFallErrors * math.Hypot(record.StandardError(s.BestTop1, line.Images), record.StandardError(top1, line.Images))
	limit := s.BestTop1 - fall
	one := reading{value: &top1, limit: limit, bad: top1 < limit, good: top1 > s.BestTop1-fall/2}
	return r.fire(record.AlarmProbe, line.Step, []reading{one}, func(reading) string {
		return fmt.Sprintf("the online probe has fallen to %s %% from %s %%, further than chance goes on %d images: "+
			"the teacher gets worse; lower %s",
			settings.FormatNumber(top1), settings.FormatNumber(s.BestTop1), line.Images, settings.Variable("PeakLR"))
	})
}

package alarm

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model"
)

// span lists the depths from first to last.
func span(first, last int) (depths settings.DepthSet) {
	for d := first; d <= last; d++ {
		depths = append(depths, d)
	}
	return depths
}

// tableRules are those of a run of the post's table: 247 updates an epoch, a warm-up of 1,235.
func tableRules() Rules { return New(span(1, 11), 2, true, 1235, 247, &State{}) }

// eleven is one value at every depth.
func eleven(v float64) (all []*float64) {
	for range 11 {
		all = append(all, record.Finite(v))
	}
	return all
}

// healthy is a line that a healthy run of full size may write.
func healthy(epoch int64) record.Health {
	return record.Health{Step: 247 * epoch, Epoch: epoch, Depths: span(1, 11), Std: eleven(0.5), Rank: eleven(40), RMS: eleven(math.Sqrt(float64(epoch)))}
}

// stepped is a line in which all pathways have had their share and no error is above 0.7.
func stepped(step int64) record.Step {
	line := record.Step{Phase: record.Pretraining, Step: step}
	for i := range 11 {
		line.Updates = append(line.Updates, step/5)
		line.Table = append(line.Table, eleven(0.7))
		if i == 10 {
			line.Updates[i] = step
		}
	}
	return line
}

// evaluated is a line of an online evaluation.
func evaluated(epoch int64, top1 float64) record.Eval {
	return record.Eval{Step: 247 * epoch, Epoch: epoch, ProbeTop1: top1, Images: 1000}
}

// changed is a copy of a line with something else in it.
func changed[L any](line L, change func(*L)) L {
	change(&line)
	return line
}

// skipped stands for updates without a finite gradient, up to a step.
type skipped struct{ from, to int64 }

// fine is an update as it should be.
type fine int64

// evaluate gives lines to the rules, one after the other.
func evaluate(r Rules, lines []any) (found []record.Alarm) {
	for _, line := range lines {
		switch l := line.(type) {
		case skipped:
			for step := l.from; step <= l.to; step++ {
				found = append(found, r.EvaluateUpdate(step, true)...)
			}
		case fine:
			found = append(found, r.EvaluateUpdate(int64(l), false)...)
		default:
			found = append(found, r.Evaluate(line)...)
		}
	}
	return found
}

// cases are the lines of runs, made up here, and the alarms that they fire, in order: kind, epoch
// or step, depth.
var cases = []struct {
	name  string
	lines []any
	want  []string
}{
	{"healthy", []any{healthy(0), evaluated(0, 30), stepped(50), healthy(1), healthy(6), stepped(1500), evaluated(10, 40), stepped(2500), healthy(20), evaluated(20, 45), stepped(5000), evaluated(30, 44)}, nil},
	{"collapse fires once until it has been healthy", []any{
		healthy(6), changed(healthy(7), func(l *record.Health) { l.Std[4] = record.Finite(0.09) }), changed(healthy(8), func(l *record.Health) { l.Std[4] = record.Finite(0.02) }),
		changed(healthy(9), func(l *record.Health) { l.Std[4] = record.Finite(0.102) }), // not healthy enough to count
		changed(healthy(10), func(l *record.Health) { l.Std[4] = record.Finite(0.09) }), healthy(11),
		changed(healthy(12), func(l *record.Health) { l.Std[4] = record.Finite(0.09) }),
	}, []string{"collapse 7 5", "collapse 12 5"}},
	{"one alarm for all depths that go bad together, one more for those that follow", []any{
		changed(healthy(7), func(l *record.Health) { l.Std[4], l.Std[6] = record.Finite(0.09), record.Finite(0.05) }),
		changed(healthy(8), func(l *record.Health) { l.Std = eleven(0.01) }),
	}, []string{"collapse 7 7", "collapse 8 1"}},
	{"features that are no numbers", []any{changed(healthy(7), func(l *record.Health) { l.Std[0], l.Rank[0], l.RMS[0] = nil, nil, nil })}, []string{"collapse 7 1", "rank 7 1", "residual 7 1"}},
	{"before the end of the warm-up features may fall", []any{changed(healthy(3), func(l *record.Health) { l.Std, l.Rank = eleven(0.05), eleven(1.2) })}, nil},
	{"one direction is left", []any{changed(healthy(6), func(l *record.Health) { l.Rank[10] = record.Finite(1.2) })}, []string{"rank 6 11"}},
	{"a third of the rank is left", []any{healthy(6), changed(healthy(7), func(l *record.Health) { l.Rank[10] = record.Finite(13) })}, []string{"rank 7 11"}},
	{"a residual stream beyond all bounds", []any{changed(healthy(1), func(l *record.Health) { l.RMS[10] = record.Finite(101) })}, []string{"residual 1 11"}},
	{"a residual stream that grows tenfold in an epoch", []any{healthy(6), changed(healthy(7), func(l *record.Health) { l.RMS[10] = record.Finite(25) })}, []string{"residual 7 11"}},
	{"in the warm-up it grows more", []any{healthy(1), changed(healthy(2), func(l *record.Health) { l.RMS[10] = record.Finite(25) })}, nil},
	{"a pathway that is frozen", []any{
		changed(stepped(100), func(l *record.Step) { l.Updates[3] = 0 }), changed(stepped(150), func(l *record.Step) { l.Updates[3] = 0 }),
		changed(stepped(200), func(l *record.Step) { l.Updates[3] = 0 }), changed(stepped(5000), func(l *record.Step) { l.Updates[3] = 900 }),
	}, []string{"pathway 150 4"}},
	{"a pathway of 21.5 % shows at the end", []any{
		changed(stepped(5000), func(l *record.Step) { l.Updates[3] = 1075 }), changed(stepped(49400), func(l *record.Step) { l.Updates[3] = 10621 }),
	}, []string{"pathway 49400 4"}},
	{"the deepest pathway left out once", []any{changed(stepped(500), func(l *record.Step) { l.Updates[10] = 499 })}, []string{"pathway 500 11"}},
	{"an entry of the table above 1", []any{
		stepped(1250), changed(stepped(1300), func(l *record.Step) { l.Table[2][9] = record.Finite(1.02) }), changed(stepped(1350), func(l *record.Step) { l.Table[2][9] = record.Finite(0.99) }),
		changed(stepped(1400), func(l *record.Step) { l.Table[2][8] = record.Finite(1.01) }), stepped(1450), changed(stepped(1500), func(l *record.Step) { l.Table[2][9] = nil }),
	}, []string{"table 1300 3-10", "table 1500 3-10"}},
	{"in the warm-up, or from it", []any{
		changed(stepped(1200), func(l *record.Step) { l.Table[2][9] = record.Finite(1.1) }), changed(stepped(1250), func(l *record.Step) { l.Table[2][9] = record.Finite(1.1) }),
		changed(stepped(1300), func(l *record.Step) { l.Table[2][9], l.Updates[2] = record.Finite(1.1), 250 }),
	}, nil},
	{"gradients that are not finite", []any{skipped{10, 10}, fine(11), skipped{200, 201}, skipped{250, 280}, fine(281), skipped{290, 290}, fine(899), skipped{900, 903}}, []string{"not_finite 250", "not_finite 902"}},
	{"a falling probe", []any{evaluated(10, 60), evaluated(15, 58), evaluated(20, 52), evaluated(25, 45), evaluated(30, 59), evaluated(35, 50)}, []string{"probe 20", "probe 35"}},
	{"the untrained encoder is not a best", []any{evaluated(0, 60), evaluated(5, 48), evaluated(10, 50)}, nil},
}

// shorthand writes alarms as the cases do.
func shorthand(all []record.Alarm) (list []string) {
	for _, a := range all {
		text := []string{a.Alarm, format(record.Finite(float64(a.Step)))}
		if slices.Contains([]string{record.AlarmCollapse, record.AlarmRank, record.AlarmResidual, record.AlarmProbe}, a.Alarm) {
			text[1] = format(record.Finite(a.Epoch))
		}
		if text[1] == "4.94e+04" {
			text[1] = "49400"
		}
		if a.Depth != nil {
			text = append(text, format(record.Finite(float64(*a.Depth))))
		}
		if a.To != nil {
			text[2] += "-" + format(record.Finite(float64(*a.To)))
		}
		list = append(list, strings.Join(text, " "))
	}
	return list
}

// TestAlarmsDoNotDependOnRestarts: each case fires what it should, also when the state goes through
// a checkpoint between any two lines.
func TestAlarmsDoNotDependOnRestarts(t *testing.T) {
	for _, c := range cases {
		r := tableRules()
		whole := evaluate(r, c.lines)
		if d := cmp.Diff(c.want, shorthand(whole), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
		if r.state.Count != len(whole) {
			t.Errorf("%s: %d alarms counted, %d fired", c.name, r.state.Count, len(whole))
		}
		for _, a := range whole {
			if a.Text == "" || strings.Contains(a.Text, "%!") || a.Depth != nil && strings.Contains(a.Text, "0x") {
				t.Errorf("%s: text %q", c.name, a.Text)
			}
		}
		for cut := range c.lines {
			before := tableRules()
			found := evaluate(before, c.lines[:cut])
			text, err := json.Marshal(before.state)
			if err != nil {
				t.Fatal(err)
			}
			after := tableRules()
			if err := json.Unmarshal(text, after.state); err != nil {
				t.Fatal(err)
			}
			found = append(found, evaluate(after, c.lines[cut:])...)
			if d := cmp.Diff(whole, found, cmpopts.EquateEmpty()); d != "" {
				t.Errorf("%s, cut before line %d:\n%s", c.name, cut, d)
			}
		}
	}
}

// TestOwnSamplingFiresNoAlarm, over whole runs of the table and of the demonstration. A sampler
// that favours one depth by a tenth does.
func TestOwnSamplingFiresNoAlarm(t *testing.T) {
	for _, c := range []struct {
		depths      settings.DepthSet
		rows, total int
		favoured    bool
	}{{span(1, 11), 2, 49400, false}, {span(0, 11), 2, 49400, false}, {span(0, 3), 2, 436, false}, {span(0, 3), 1, 5000, false}, {span(1, 11), 0, 5000, false}, {span(1, 4), 3, 5000, false}, {span(11, 11), 0, 5000, false}, {span(1, 11), 2, 49400, true}} {
		for seed := range uint64(4) {
			r := Rules{depths: c.depths, rows: c.rows, perEpoch: 247, state: &State{}}
			updates := make([]int64, len(c.depths))
			other := rand.New(rand.NewPCG(seed, 0))
			var found []record.Alarm
			for step := range int64(c.total) {
				sources := model.SampleDepths(c.depths, c.rows, seed, step)
				if c.favoured && other.IntN(30) == 0 && !slices.Contains(sources, 3) {
					sources[0] = 3
				}
				for _, source := range sources {
					updates[slices.Index(c.depths, source)]++
				}
				if (step+1)%50 == 0 {
					found = append(found, r.Evaluate(record.Step{Phase: record.Pretraining, Step: step + 1, Updates: slices.Clone(updates)})...)
				}
			}
			if c.favoured != (len(found) > 0) || c.favoured && *found[0].Depth != 3 {
				t.Errorf("%+v, seed %d: %+v; updates %v", c, seed, found, updates)
			}
		}
	}
}

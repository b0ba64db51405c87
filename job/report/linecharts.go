package report

import (
	"fmt"
	"math"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/report/chart"
)

// fileChart is a chart that compares runs, and the name of its file.
type fileChart struct {
	chart.Chart
	name string
}

// comparisons are the charts that show runs beside each other: the profile, and the series that
// name a file for it.
func (r *Report) comparisons() []fileChart {
	all := []fileChart{{r.compare(profile(), profilePoints), "profile"}}
	for _, s := range record.StepSeries {
		if s.File != "" {
			points := func(run *history.Run) []chart.Point { return stepPoints(run.Steps, s) }
			all = append(all, fileChart{r.compare(overEpochs(s), points), s.File})
		}
	}
	for _, s := range record.EvalSeries {
		if s.File != "" {
			points := func(run *history.Run) []chart.Point { return evalPoints(run, s) }
			all = append(all, fileChart{r.compare(overEpochs(s), points), s.File})
		}
	}
	return all
}

const (
	maxNames   = 14 // of lines in a chart of several runs; beyond, a name is written once for each recipe
	seedDashes = 3  // that the runs of one recipe take in turn; recipes beyond the colours take the others
)

// compare adds a line for each run to a chart: a colour for each recipe, whatever its seed, and
// dashes for the seeds.
func (r *Report) compare(c chart.Chart, points func(*history.Run) []chart.Point) chart.Chart {
	c.Wide = true
	lines := map[*history.Run]chart.Line{}
	drawn := 0
	for i, recipe := range groupByRecipe(r.Runs) {
		for seed, run := range recipe.runs {
			l := chart.Line{Name: recipe.name, Points: points(run)}
			l.Colour, l.Dash = i%chart.Colours, i/chart.Colours*seedDashes+seed%seedDashes
			lines[run] = l
			if len(l.Points) > 0 {
				drawn++
			}
		}
	}
	c.Dense = drawn > maxNames
	named := map[string]bool{}
	for _, run := range r.Runs {
		l := lines[run]
		switch {
		case len(l.Points) == 0:
			continue
		case !c.Dense:
			l.Name = run.Name
		case named[l.Name]:
			l.Name = ""
		}
		named[l.Name] = true
		c.Lines = append(c.Lines, l)
	}
	return c
}

// charts are those of one run.
func charts(run *history.Run) []chart.Chart {
	all := []chart.Chart{ownProfile(run)}
	for _, s := range record.StepSeries {
		if s.Title != "" {
			all = append(all, single(overEpochs(s), stepPoints(run.Steps, s)))
		}
	}
	for _, s := range record.HealthSeries {
		if s.Title != "" {
			all = append(all, byDepth(run, s))
		}
	}
	all = append(all, evals(run))
	for _, s := range record.StepSeries {
		if s.ProbeTitle != "" {
			c := overEpochs(s)
			c.Title, c.Note = s.ProbeTitle, ""
			all = append(all, single(c, stepPoints(run.Probe, s)))
		}
	}
	return all
}

// overEpochs is the chart of a series, without lines.
func overEpochs[L, V any](s record.Series[L, V]) chart.Chart {
	return chart.Chart{
		Title: s.Title, Note: s.Note,
		X: chart.Axis{Label: "epoch", FromZero: true}, Y: chart.Axis{Label: s.Unit, FromZero: s.FromZero},
	}
}

func single(c chart.Chart, points []chart.Point) chart.Chart {
	c.Lines = []chart.Line{{Points: points}}
	return c
}

func stepPoints(steps []record.Step, s record.Series[record.Step, *float64]) []chart.Point {
	return chart.Thinned(len(steps), func(i int) chart.Point {
		return chart.Point{X: steps[i].Epoch, Y: value(s.Of(steps[i]), s.Scale)}
	})
}

func evalPoints(run *history.Run, s record.Series[record.Eval, *float64]) []chart.Point {
	return chart.Thinned(len(run.Evals), func(i int) chart.Point {
		return chart.Point{X: float64(run.Evals[i].Epoch), Y: value(s.Of(run.Evals[i]), s.Scale)}
	})
}

// value is a number as charts show it; NaN, which is a gap, if it is not known.
func value(v *float64, scale record.Scale) float64 {
	if v == nil {
		return math.NaN()
	}
	return scale.Charted(*v)
}

// evals are all series of the online evaluation in one chart.
func evals(run *history.Run) chart.Chart {
	c := overEpochs(record.EvalSeries[0])
	c.Title, c.Note = "Online probe and kNN", ""
	for i, s := range record.EvalSeries {
		c.Lines = append(c.Lines, chart.Line{Name: s.Line, Points: evalPoints(run, s), Colour: i, Dash: i})
	}
	return c
}

// byDepth has a line for each collected depth.
func byDepth(run *history.Run, s record.Series[record.Health, []*float64]) chart.Chart {
	c, depths := overEpochs(s), run.Depths()
	for d, depth := range depths {
		points := chart.Thinned(len(run.Health), func(i int) chart.Point {
			p := chart.Point{X: float64(run.Health[i].Epoch), Y: math.NaN()}
			if values := s.Of(run.Health[i]); d < len(values) {
				p.Y = value(values[d], s.Scale)
			}
			return p
		})
		line := chart.Line{Name: fmt.Sprint(depth), Points: points, Colour: chart.DepthColour(d, len(depths))}
		c.Lines = append(c.Lines, line)
	}
	return c
}

// profile is the chart of the semantic profile, without lines: what a linear probe finds at every
// depth.
func profile() chart.Chart {
	return chart.Chart{
		Title: "Semantic profile", Note: "What a linear probe finds in the teacher's features of every collected depth.",
		X: chart.Axis{Label: "depth", Whole: true}, Y: chart.Axis{Label: "top-1, %"},
	}
}

func profilePoints(run *history.Run) []chart.Point {
	return depthPoints(run, func(d record.DepthMetrics) float64 { return d.Top1 })
}

func depthPoints(run *history.Run, of func(record.DepthMetrics) float64) []chart.Point {
	if !run.Scored() {
		return nil
	}
	d := run.Result.Metrics.Depths
	return chart.Thinned(len(d), func(i int) chart.Point { return chart.Point{X: float64(d[i].Depth), Y: of(d[i])} })
}

// ownProfile sets the trained encoder's profile against the untrained one's.
func ownProfile(run *history.Run) chart.Chart {
	c := profile()
	untrained := depthPoints(run, func(d record.DepthMetrics) float64 { return d.UntrainedTop1 })
	c.Lines = []chart.Line{
		{Name: "pretrained", Points: profilePoints(run)},
		{Name: "untrained", Points: untrained, Colour: chart.Colours - 1, Dash: 1},
	}
	return c
}

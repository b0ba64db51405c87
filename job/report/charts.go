package report

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/plot/plotter"
)

// most points of a line: more cannot be told apart at the width of a page.
const mostPoints = 150

// mostNames of lines that a chart of several runs writes; beyond, a name stands once for each preset.
const mostNames = 14

// points makes a line of n values, thinned out evenly when there are many; the last one always stays. A missing value is NaN.
func points(n int, at func(i int) (x, y float64)) plotter.XYs {
	stride := max(1, (n+mostPoints-1)/mostPoints)
	var all plotter.XYs
	for i := n - 1; i >= 0; i -= stride {
		x, y := at(i)
		all = append(all, plotter.XY{X: x, Y: y})
	}
	for i, k := 0, len(all)-1; i < k; i, k = i+1, k-1 {
		all[i], all[k] = all[k], all[i]
	}
	return all
}

// orNaN is a figure that may be missing.
func orNaN(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

// described fills in what the chart shows, in words.
func (c chart) described() chart {
	var words []string
	for _, l := range c.lines {
		whole := unbroken(l.points)
		if len(whole) == 0 {
			continue
		}
		first, last := whole[0][0], whole[len(whole)-1][len(whole[len(whole)-1])-1]
		name := l.name
		switch {
		case name == "":
			name = "a line"
		case l.colour >= len(okabeIto):
			name = "depth " + name
		}
		words = append(words, fmt.Sprintf("%s from %.4g at %.4g to %.4g at %.4g", name, first.Y, first.X, last.Y, last.X))
	}
	const most = 12
	if rest := len(words) - most; rest > 0 {
		words = append(words[:most], fmt.Sprintf("and %d more", rest))
	}
	c.Alt = fmt.Sprintf("%s. %s over %s: %s.", c.Title, c.Y, c.X, strings.Join(words, "; "))
	return c
}

// seedDashes are the dashes that the runs of one preset take in turn; presets beyond the colours take the others.
const seedDashes = 3

// overRuns makes one line for each run: a colour for each preset, and dashes for its seeds.
func (r *Report) overRuns(c chart, of func(*Run) plotter.XYs) chart {
	c.wide = true
	preset, drawn := map[string]int{}, 0
	for _, run := range r.Runs {
		if _, known := preset[run.Preset]; !known {
			preset[run.Preset] = len(preset)
		}
		if len(of(run)) > 0 {
			drawn++
		}
	}
	c.crowd = drawn > mostNames
	seeds, named := map[string]int{}, map[string]bool{}
	for _, run := range r.Runs {
		xys, seed := of(run), seeds[run.Preset]
		if seeds[run.Preset]++; len(xys) == 0 {
			continue
		}
		l := line{name: run.Name, points: xys, colour: preset[run.Preset] % len(okabeIto), dash: preset[run.Preset]/len(okabeIto)*seedDashes + seed%seedDashes}
		if c.crowd {
			if l.name = run.Preset; named[run.Preset] {
				l.name = ""
			}
			named[run.Preset] = true
		}
		c.lines = append(c.lines, l)
	}
	return c.described()
}

const (
	profileNote = "What a linear probe finds in the teacher's features of every collected depth."
	lossNote    = "Its target moves: a lower loss is no better run."
	depthNote   = "A line for each depth; the deepest is the strongest."
)

// profiles is the semantic profile: what a linear probe finds at every depth.
func (r *Report) profiles() chart {
	return r.overRuns(chart{name: "profile", Title: "Semantic profile", Note: profileNote, X: "depth", Y: "top-1, %"}, func(run *Run) plotter.XYs {
		if run.Result == nil {
			return nil
		}
		d := run.Result.Metrics.Depths
		return points(len(d), func(i int) (float64, float64) { return float64(d[i].Depth), d[i].Top1 })
	})
}

func (r *Report) losses() chart {
	return r.overRuns(chart{name: "loss", Title: "Loss", Note: lossNote, X: "epoch", Y: "loss"}, lossOf)
}

func lossOf(run *Run) plotter.XYs {
	return points(len(run.Steps), func(i int) (float64, float64) { return run.Steps[i].Epoch, orNaN(run.Steps[i].Loss) })
}

func (r *Report) onlines() chart {
	return r.overRuns(chart{name: "eval", Title: "Online probe", Note: "Of the teacher's deepest features, on held-out images.", X: "epoch", Y: "top-1, %"}, func(run *Run) plotter.XYs {
		return points(len(run.Online), func(i int) (float64, float64) {
			return float64(run.Online[i].Epoch), run.Online[i].ProbeTop1
		})
	})
}

func (r *Report) throughputs() chart {
	zero := 0.0
	return r.overRuns(chart{name: "throughput", Title: "Throughput", X: "epoch", Y: "images/s", low: &zero}, func(run *Run) plotter.XYs {
		return points(len(run.Steps), func(i int) (float64, float64) { return run.Steps[i].Epoch, run.Steps[i].ImagesPerSecond })
	})
}

// compared are the charts that show runs beside each other.
func (r *Report) compared() []chart {
	return []chart{r.profiles(), r.losses(), r.onlines(), r.throughputs()}
}

// charts are those of one run.
func (r *Run) charts() []chart {
	zero := 0.0
	steps := func(title, y string, of func(i int) float64) chart {
		return chart{Title: title, X: "epoch", Y: y, low: &zero, lines: []line{{points: points(len(r.Steps), func(i int) (float64, float64) { return r.Steps[i].Epoch, of(i) })}}}.described()
	}
	all := []chart{
		r.ownProfile(),
		chart{Title: "Loss", Note: lossNote, X: "epoch", Y: "loss", lines: []line{{points: lossOf(r)}}}.described(),
		steps("Learning rate", "lr", func(i int) float64 { return r.Steps[i].LR }),
		r.byDepth("Effective rank of the teacher's features", depthNote, "effective rank", func(i int) []*float64 { return r.Health[i].Rank }),
		r.byDepth("Spread of the teacher's features", "Over images, healthy from 0.3 to 1. "+depthNote, "standard deviation", func(i int) []*float64 { return r.Health[i].Std }),
		r.byDepth("Residual stream", depthNote, "RMS", func(i int) []*float64 { return r.Health[i].RMS }),
		r.ownOnline(),
		r.probeLoss(),
		steps("Throughput", "images/s", func(i int) float64 { return r.Steps[i].ImagesPerSecond }),
		steps("Waiting for images", "% of the time", func(i int) float64 { return 100 * r.Steps[i].DataWait }),
	}
	return all
}

// ownProfile sets the trained encoder's profile against the untrained one's.
func (r *Run) ownProfile() chart {
	c := chart{Title: "Semantic profile", Note: profileNote, X: "depth", Y: "top-1, %"}
	if r.Result == nil {
		return c
	}
	d := r.Result.Metrics.Depths
	c.lines = []line{
		{"pretrained", points(len(d), func(i int) (float64, float64) { return float64(d[i].Depth), d[i].Top1 }), 0, 0},
		{"untrained", points(len(d), func(i int) (float64, float64) { return float64(d[i].Depth), d[i].UntrainedTop1 }), 7, 1},
	}
	return c.described()
}

func (r *Run) ownOnline() chart {
	c := chart{Title: "Online probe and kNN", X: "epoch", Y: "top-1, %"}
	c.lines = []line{
		{"probe", points(len(r.Online), func(i int) (float64, float64) { return float64(r.Online[i].Epoch), r.Online[i].ProbeTop1 }), 0, 0},
		{"kNN", points(len(r.Online), func(i int) (float64, float64) { return float64(r.Online[i].Epoch), orNaN(r.Online[i].KNNTop1) }), 1, 1},
	}
	return c.described()
}

// probeLoss is that of the linear probe after pretraining.
func (r *Run) probeLoss() chart {
	return chart{Title: "Loss of the linear probe", X: "epoch", Y: "loss", lines: []line{{points: points(len(r.Probe), func(i int) (float64, float64) {
		return r.Probe[i].Epoch, orNaN(r.Probe[i].Loss)
	})}}}.described()
}

// byDepth has a line for each collected depth, over the epochs.
func (r *Run) byDepth(title, note, y string, of func(i int) []*float64) chart {
	zero := 0.0
	c := chart{Title: title, Note: note, X: "epoch", Y: y, low: &zero}
	depths := r.Depths()
	for d, depth := range depths {
		c.lines = append(c.lines, line{fmt.Sprint(depth), points(len(r.Health), func(i int) (float64, float64) {
			if values := of(i); d < len(values) {
				return float64(r.Health[i].Epoch), orNaN(values[d])
			}
			return float64(r.Health[i].Epoch), math.NaN()
		}), depthColour(d, len(depths)), 0})
	}
	return c.described()
}

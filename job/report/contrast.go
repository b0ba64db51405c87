package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
)

// group is finished runs that differ in nothing but their seed and their last bits.
type group struct {
	name string
	data string // their fingerprint of it
	runs []*Run
}

// top1 is the mean in percent and its standard error. Seeds share their validation images, so more seeds do not lessen what the
// choice of images leaves open.
func (g group) top1() (mean, noise float64) {
	var tops []float64
	images := math.Inf(1)
	for _, run := range g.runs {
		tops = append(tops, run.Result.Metrics.Top1)
		images = min(images, float64(run.Result.Data.ValidationSamples))
	}
	mean, spread := meanAndDeviation(tops)
	return mean, math.Hypot(binomialError(mean, images), spread/math.Sqrt(float64(len(tops))))
}

// groups sorts the finished runs by recipe and data, in the order of the runs. A group is called after its preset, and after its first
// run where presets alone do not tell groups apart.
func (r *Report) groups() []*group {
	var all []*group
	byRecipe, ofPreset := map[string]*group{}, map[string]int{}
	for _, run := range r.Runs {
		if run.Result == nil {
			continue
		}
		recipe := maps.Clone(run.Begun.Recipe)
		for _, name := range append([]string{"Seed"}, lastBits...) {
			delete(recipe, name)
		}
		text, _ := json.Marshal(recipe) // it was JSON before
		key := run.Begun.Fingerprint + string(text)
		if byRecipe[key] == nil {
			byRecipe[key] = &group{data: run.Begun.Fingerprint}
			all = append(all, byRecipe[key])
			ofPreset[run.Preset]++
		}
		byRecipe[key].runs = append(byRecipe[key].runs, run)
	}
	for _, g := range all {
		first := g.runs[0]
		if g.name = first.Preset; ofPreset[first.Preset] > 1 {
			g.name = first.Name
		}
	}
	return all
}

// Contrasts says of the best recipe on each data set and of every other one there whether the gap is more than noise.
func (r *Report) Contrasts() []string {
	byData := map[string][]*group{}
	var order []string
	for _, g := range r.groups() {
		if byData[g.data] == nil {
			order = append(order, g.data)
		}
		byData[g.data] = append(byData[g.data], g)
	}
	var sentences []string
	for _, data := range order {
		best := slices.MaxFunc(byData[data], func(a, b *group) int {
			x, _ := a.top1()
			y, _ := b.top1()
			return cmp.Compare(x, y)
		})
		top, topNoise := best.top1()
		for _, g := range byData[data] {
			if g == best {
				continue
			}
			mean, noise := g.top1()
			gap, noise := top-mean, math.Hypot(noise, topNoise)
			word := "more than noise"
			if gap <= 2*noise {
				word = "within noise"
			}
			sentences = append(sentences, fmt.Sprintf("%s is %.2f ± %.2f points above %s: %s.", best.name, gap, noise, g.name, word))
		}
	}
	return sentences
}

package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/record"
)

// recipe is runs that differ in nothing but their seed and what changes their last bits.
type recipe struct {
	name string
	data string // fingerprint of the data set
	runs []*history.Run
}

// top1 is the mean of finished runs in percent, and its standard error.
func (r recipe) top1() (mean, noise float64) {
	var results []*history.Result
	for _, run := range r.runs {
		results = append(results, run.Result)
	}
	return meanTop1(results)
}

// meanTop1 is the mean of results that differ by their seed, in percent, and its standard error.
// Seeds share their validation images, so more seeds do not lessen the error that the choice of
// images makes.
func meanTop1(results []*history.Result) (mean, noise float64) {
	var tops []float64
	images := math.MaxInt
	for _, result := range results {
		tops, images = append(tops, result.Metrics.Top1), min(images, result.Data.ValidationSamples)
	}
	mean = stat.Mean(tops, nil)
	noise = record.StandardError(mean, images)
	if n := float64(len(tops)); n > 1 {
		noise = math.Hypot(noise, stat.StdErr(stat.StdDev(tops, nil), n))
	}
	return mean, noise
}

// groupByRecipe sorts runs by recipe and data, in the order of the runs. A recipe is named after
// its preset, or after its first run, without the seed, if several recipes start from that preset.
func groupByRecipe(runs []*history.Run) []*recipe {
	var all []*recipe
	ofPreset, ofBase := map[string]int{}, map[string]int{}
	for _, same := range grouped(runs, recipeKey) {
		all = append(all, &recipe{data: same[0].Record.Fingerprint, runs: same})
		ofPreset[same[0].Preset]++
		ofBase[withoutSeed(same[0])]++
	}
	for _, of := range all {
		first := of.runs[0]
		switch base := withoutSeed(first); {
		case ofPreset[first.Preset] == 1:
			of.name = first.Preset
		case ofBase[base] == 1:
			of.name = base
		default:
			of.name = first.Name
		}
	}
	return all
}

// recipeKey tells recipes and data apart.
func recipeKey(run *history.Run) string {
	settings := map[string]string{}
	for name := range run.Record.Recipe {
		if name != "Seed" && !slices.Contains(lastBits, name) {
			settings[name] = run.Setting(name)
		}
	}
	text, _ := json.Marshal(settings) // texts only
	return run.Record.Fingerprint + string(text)
}

// withoutSeed is the name of a run without its seed at the end, as in NAME-s0.
func withoutSeed(run *history.Run) string {
	return strings.TrimSuffix(run.Name, "-s"+run.Setting("Seed"))
}

// byTop1 orders recipes, the best first.
func byTop1(a, b *recipe) int {
	x, _ := a.top1()
	y, _ := b.top1()
	return cmp.Compare(y, x)
}

// recipesByData are the recipes of the runs with scores, in a group for each data set.
func (r *Report) recipesByData() [][]*recipe {
	return grouped(groupByRecipe(r.scored()), func(of *recipe) string { return of.data })
}

// Contrasts compares, on each data set, the best recipe with every other one: whether the gap is
// more than noise. Where it is known what both say of the same images, these are compared.
func (r *Report) Contrasts() []string {
	var sentences []string
	for _, recipes := range r.recipesByData() {
		best := slices.MinFunc(recipes, byTop1)
		top, topNoise := best.top1()
		for _, other := range recipes {
			if other == best {
				continue
			}
			if sentence := pairedContrast(best, other); sentence != "" {
				sentences = append(sentences, sentence)
				continue
			}
			mean, noise := other.top1()
			gap, noise := top-mean, math.Hypot(noise, topNoise)
			word := "more than noise"
			if gap <= 2*noise {
				word = "within noise"
			}
			sentences = append(sentences, fmt.Sprintf("%s is %.2f ± %.2f points above %s: %s.",
				best.name, gap, noise, other.name, word))
		}
	}
	return sentences
}

// Seeds is a recipe with its finished runs, which differ by their seed alone.
type Seeds struct {
	Recipe      string // its preset, or its first run
	Alpha, Beta string
	Runs        int
	Seeds       string   // such as 0, 1, 2
	Mean        *float64 // top-1, percent
	Error       *float64 // its standard error: of the validation images and of the seeds
	Spread      *float64 // standard deviation over the seeds; nil: one seed
	Needed      string   // seeds that tell a difference of one point: see seedsForOnePoint
	Cost        *float64 // of all runs; nil: not known
}

// seedsNote explains Seeds in a page or a text.
const seedsNote = "Spread: the standard deviation s of top-1 over seeds. For 1 point: the seeds that the recipe and the best one (the best: and the next one) " +
	"each need to tell a difference of one point at a level of 5 % with a power of 80 %, ⌈2s² / ((1/2.80)² − t²/n)⌉. s² is the mean of all recipes on the data; " +
	"t² is the variance over the n images of the difference that many seeds would have, as far as these runs tell it."

// Seeds lists the recipes of the runs with scores, by data set in the order of the runs.
func (r *Report) Seeds() []Seeds {
	var all []Seeds
	for _, recipes := range r.recipesByData() {
		needed := seedsForOnePoint(recipes)
		for _, of := range recipes {
			all = append(all, of.seeds(needed[of]))
		}
	}
	return all
}

func (of *recipe) seeds(needed string) Seeds {
	first := of.runs[0]
	mean, noise := of.top1()
	s := Seeds{Recipe: of.name, Alpha: first.Setting("AllToLastWeight"), Beta: first.Setting("LastToLastWeight"),
		Runs: len(of.runs), Mean: &mean, Error: &noise, Needed: needed}
	var seeds []string
	var tops []float64
	for _, run := range of.runs {
		seeds, tops = append(seeds, run.Setting("Seed")), append(tops, run.Result.Metrics.Top1)
		if cost := run.Result.Stats.Cost; cost != nil {
			if s.Cost == nil {
				s.Cost = new(float64)
			}
			*s.Cost += *cost
		}
	}
	if s.Seeds = strings.Join(seeds, ", "); len(tops) > 1 {
		spread := stat.StdDev(tops, nil)
		s.Spread = &spread
	}
	return s
}

package paired

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// golden holds the figures of scipy and statsmodels: .ci/statistics/golden.py makes them.
type golden struct {
	Tables []struct {
		Both, First, Second, Neither int
		P, Low, High                 float64
	}
	Groups []struct {
		First, Second         []string // a row a seed, of 0 and 1
		Difference, Low, High float64
		Error                 float64
		ImageVariance         float64 `json:"image_variance"`
		Residuals             []float64
	}
	Needed []struct {
		SeedDeviation float64 `json:"seed_deviation"`
		ImageVariance float64 `json:"image_variance"`
		Images        int
		Size, Seeds   float64
	}
}

func readGolden(t *testing.T) (g golden) {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Tables) == 0 || len(g.Groups) == 0 || len(g.Needed) == 0 {
		t.Fatal("the golden file has no figures")
	}
	return g
}

func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance*math.Abs(want) }

// TestMcNemarAndIntervalAreThoseOfStatsmodels to nine digits.
func TestMcNemarAndIntervalAreThoseOfStatsmodels(t *testing.T) {
	for _, c := range readGolden(t).Tables {
		table := Table{c.Both, c.First, c.Second, c.Neither}
		if p := table.McNemar(); !near(p, c.P, 1e-9) {
			t.Errorf("%+v: p %v, want %v", table, p, c.P)
		}
		low, high := table.Interval()
		if math.Abs(low-c.Low) > 1e-9 || math.Abs(high-c.High) > 1e-9 {
			t.Errorf("%+v: interval %v to %v, want %v to %v", table, low, high, c.Low, c.High)
		}
	}
	for i, c := range []bool{false, true} { // on either side of 0.05
		if table := (Table{10, 17 + i, 7, 10}); table.Beyond() != c {
			t.Errorf("%+v: p %v", table, table.McNemar())
		}
	}
}

// TestCountComparesImageByImage: two runs at 70 % on 5,000 images that disagree on a fifth of them.
func TestCountComparesImageByImage(t *testing.T) {
	first, second := make([]bool, 5000), make([]bool, 5000)
	for i := range first {
		first[i] = i < 3500
		second[i] = i < 3000 || i >= 4500
	}
	table := Count(first, second)
	if table != (Table{3000, 500, 500, 1000}) || table.Images() != 5000 || table.Difference() != 0 || table.Disagreement() != 0.2 {
		t.Errorf("%+v: difference %v, disagreement %v", table, table.Difference(), table.Disagreement())
	}
}

func groupOf(rows []string) (g Group) {
	for _, row := range rows {
		var run []bool
		for _, c := range row {
			run = append(run, c == '1')
		}
		g = append(g, run)
	}
	return g
}

// TestGroupsAreComparedAsByScipy: residuals and standard errors to nine digits, and the intervals
// of two bootstraps with other random numbers to 4 % of their width.
func TestGroupsAreComparedAsByScipy(t *testing.T) {
	for i, c := range readGolden(t).Groups {
		a, b := groupOf(c.First), groupOf(c.Second)
		var residuals []float64
		for _, g := range []Group{a, b} {
			if len(g) > 1 {
				residuals = append(residuals, g.Residual())
			}
		}
		for k, want := range c.Residuals {
			if !near(residuals[k], want, 1e-9) {
				t.Errorf("%d: residual %v, want %v", i, residuals[k], want)
			}
		}
		variance := imageVariance(a, b, a.residualOr(b), b.residualOr(a))
		if !near(variance, c.ImageVariance, 1e-9) {
			t.Errorf("%d: variance over images %v, want %v", i, variance, c.ImageVariance)
		}
		first, second := a.accuracies(), b.accuracies()
		seeds := seedVariance(first, second) + seedVariance(second, first)
		if got := math.Sqrt(variance/float64(len(a[0])) + seeds); !near(got, c.Error, 1e-9) {
			t.Errorf("%d: the variances of images and seeds make an error of %v, want %v", i, got, c.Error)
		}
		got := Compare(a, b)
		if width := c.High - c.Low; math.Abs(got.Low-c.Low) > 0.04*width || math.Abs(got.High-c.High) > 0.04*width {
			t.Errorf("%d: %v to %v, want %v to %v", i, got.Low, got.High, c.Low, c.High)
		}
		if !near(got.Difference, c.Difference, 1e-9) {
			t.Errorf("%d: %v, want %v", i, got.Difference, c.Difference)
		}
		if got != Compare(a, b) {
			t.Errorf("%d: two comparisons of the same groups differ", i)
		}
	}
}

// TestSeedsNeededAreThoseOfStatsmodels.
func TestSeedsNeededAreThoseOfStatsmodels(t *testing.T) {
	for _, c := range readGolden(t).Needed {
		// Two groups without residuals whose differences have the wanted variance: ±d, with
		// n/(n-1).
		a, b := Group{make([]bool, c.Images)}, Group{make([]bool, c.Images)}
		unlike := int(math.Round(c.ImageVariance * float64(c.Images-1) / 2))
		for i := range unlike {
			a[0][i], b[0][unlike+i] = true, true
		}
		seeds, ok := Pool{SeedVariance: c.SeedDeviation * c.SeedDeviation}.Needed(a, b, c.Size)
		if want := int(math.Ceil(c.Seeds - 1e-9)); !ok || seeds != want {
			t.Errorf("%+v: %d seeds, %v, want %d", c, seeds, ok, want)
		}
	}
	if _, ok := NewPool([]Group{{{true, false}}}).Needed(Group{{true, false}}, Group{{true, true}}, 0.01); ok {
		t.Error("seeds are counted without a run that was repeated")
	}
}

// madeGroup makes the answers of a recipe's seeds: right if the image's easiness, the seed's luck
// and noise add up to more than nothing.
func madeGroup(r *rand.Rand, easy []float64, seeds int) (g Group) {
	for range seeds {
		luck := 0.05 * r.NormFloat64()
		run := make([]bool, len(easy))
		for i, e := range easy {
			run[i] = 0.5+e+luck+0.6*r.NormFloat64() > 0
		}
		g = append(g, run)
	}
	return g
}

// TestIntervalsCoverTheDifference: of two recipes that are equally good, 95 % of the intervals hold
// 0 (within three standard errors of 300 trials), whatever the number of seeds.
func TestIntervalsCoverTheDifference(t *testing.T) {
	if os.Getenv("CIJEPA_TEST_SLOW") == "" {
		t.Skip("only with CIJEPA_TEST_SLOW=1")
	}
	const trials, images = 300, 600
	for _, seeds := range [][2]int{{3, 3}, {3, 1}, {4, 2}} {
		r := rand.New(rand.NewPCG(7, uint64(10*seeds[0]+seeds[1])))
		covered, width, unpaired := 0, 0.0, 0.0
		for range trials {
			easyA, easyB := make([]float64, images), make([]float64, images)
			for i := range easyA {
				shared := r.NormFloat64()
				easyA[i], easyB[i] = shared+0.3*r.NormFloat64(), shared+0.3*r.NormFloat64()
			}
			c := Compare(madeGroup(r, easyA, seeds[0]), madeGroup(r, easyB, seeds[1]))
			if !c.Beyond() {
				covered++
			}
			width += (c.High - c.Low) / trials
			unpaired += 2 * 1.96 * math.Sqrt(2*0.34*0.66/images) / trials
		}
		share := float64(covered) / trials
		t.Logf("%d and %d seeds: %.1f %% cover 0; mean width %.3f, of unpaired images alone %.3f", seeds[0], seeds[1], 100*share, width, unpaired)
		if share < 0.912 || share > 0.995 {
			t.Errorf("%d and %d seeds: %.1f %% of the intervals cover 0", seeds[0], seeds[1], 100*share)
		}
	}
}

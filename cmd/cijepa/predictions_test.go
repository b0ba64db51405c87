package main

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/predictions"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/model/classify"
	"github.com/cijepa/cijepa/storage"
)

// checkPredictions computes every score of a result again, by plain loops over the arrays of the
// object that it names. The key is of the result.
func checkPredictions(t *testing.T, b *storage.Bucket, key string, r settings.Result) {
	t.Helper()
	if r.Predictions == nil {
		t.Fatalf("%s names no predictions", key)
	}
	object, err := b.Get(t.Context(), path.Join(path.Dir(key), r.Predictions.File))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(object); int64(len(object)) != r.Predictions.Size || hex.EncodeToString(sum[:]) != r.Predictions.SHA256 {
		t.Errorf("the predictions are not those of %+v", r.Predictions)
	}
	depths := []int(r.Recipe.Depths)
	p, err := predictions.Decode(object, predictions.Shape{Classes: r.Data.Classes, Images: r.Data.ValidationSamples, Depths: depths})
	if err != nil {
		t.Fatal(err)
	}
	percent := func(a classify.Answers, right func(class, rank, label int32) bool) float64 {
		n := 0
		for i, label := range p.Labels {
			if right(a.Classes[i], a.Ranks[i], label) {
				n++
			}
		}
		return 100 * float64(n) / float64(r.Data.ValidationSamples)
	}
	first := func(class, _, label int32) bool { return class == label }
	five := func(_, rank, _ int32) bool { return rank < 5 }
	last := len(depths) - 1
	knn, untrained := percent(p.KNN[0], first), percent(p.UntrainedKNN[0], first)
	want := record.Metrics{
		Top1: percent(p.Probe[last], first), Top5: percent(p.Probe[last], five), UntrainedTop1: percent(p.UntrainedProbe[last], first),
		KNNTop1: &knn, UntrainedKNN: &untrained, StandardError: r.Metrics.StandardError,
	}
	for i, depth := range depths {
		want.Depths = append(want.Depths, record.DepthMetrics{
			Depth: depth, Top1: percent(p.Probe[i], first), Top5: percent(p.Probe[i], five), UntrainedTop1: percent(p.UntrainedProbe[i], first),
		})
	}
	if d := cmp.Diff(want, scoresOf(r.Metrics)); d != "" {
		t.Errorf("the figures of %s are not those of its predictions:\n%s", key, d)
	}
	if d := cmp.Diff(depths[last:], p.KNNDepths); d != "" {
		t.Errorf("the kNN is not at the deepest depth:\n%s", d)
	}
}

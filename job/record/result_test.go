package record

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestScoresAreAbsentWithoutAProbe, where 0 would be a figure. With one, all stand, zeros and nulls
// too, in the order of the fields.
func TestScoresAreAbsentWithoutAProbe(t *testing.T) {
	loss := 0.5
	for _, c := range []struct {
		metrics Metrics
		want    string
	}{
		{
			Metrics{Loss: &loss, Updates: 7},
			`{"loss":0.5,"table":null,"updates":7,"pathway_updates":null,"skipped_updates":0,"teacher_sha256":"","state_sha256":""}`,
		},
		{
			Metrics{Loss: &loss, Depths: []DepthMetrics{{Depth: 3}}},
			`{"top1":0,"top5":0,"top1_standard_error":0,"untrained_top1":0,"knn_top1":null,"untrained_knn_top1":null,` +
				`"depths":[{"depth":3,"top1":0,"top5":0,"untrained_top1":0}],` +
				`"loss":0.5,"table":null,"updates":0,"pathway_updates":null,"skipped_updates":0,"teacher_sha256":"","state_sha256":""}`,
		},
	} {
		text, err := json.Marshal(c.metrics)
		if err != nil || string(text) != c.want {
			t.Errorf("%v: %s\nwant %s", err, text, c.want)
		}
		var back Metrics
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&back); err != nil || back.Scored() != c.metrics.Scored() || back.Updates != c.metrics.Updates {
			t.Errorf("read again: %+v, %v", back, err)
		}
	}
}

package record

import (
	"reflect"
	"strings"
	"testing"
)

// notSeries are the fields of lines that are no series, and why.
var notSeries = map[string]string{
	"phase":           "a label",
	"step":            "the x axis; live shows it as steps_done",
	"pathway_updates": "by source depth: live labels it",
	"table":           "by source and target depth: a heat map, and labelled in live",
	"depths":          "labels of the other fields",
	"eval.epoch":      "the x axis",
	"health.epoch":    "the x axis",
	"bank":            "the same for all lines",
	"images":          "the same for all lines",
	"seconds":         "for readers of the file",
	"solving_seconds": "for readers of the file",
}

// TestEveryFieldOfALineIsASeriesOrSaysWhyNot finds a new metric that no reader shows, and an entry
// that reads another field than it names.
func TestEveryFieldOfALineIsASeriesOrSaysWhyNot(t *testing.T) {
	checkSeries(t, "steps", StepSeries, func(v *float64) []*float64 { return []*float64{v} })
	checkSeries(t, "health", HealthSeries, func(v []*float64) []*float64 { return v })
	checkSeries(t, "eval", EvalSeries, func(v *float64) []*float64 { return []*float64{v} })
}

func checkSeries[L, V any](t *testing.T, kind string, all []Series[L, V], values func(V) []*float64) {
	entries := map[string]Series[L, V]{}
	for _, s := range all {
		entries[s.Field] = s
		if s.Tag == "" && s.Metric == "" && s.Title == "" {
			t.Errorf("%s: %s is shown nowhere", kind, s.Field)
		}
		if (s.Metric == "") != (s.Help == "") || s.Counter && !strings.HasSuffix(s.Metric, "_total") {
			t.Errorf("%s: %s has the metric %q with the help %q", kind, s.Field, s.Metric, s.Help)
		}
	}
	for i, number := range reflect.VisibleFields(reflect.TypeFor[L]()) {
		name, _, _ := strings.Cut(number.Tag.Get("json"), ",")
		s, ok := entries[name]
		if delete(entries, name); !ok {
			if notSeries[name] == "" && notSeries[kind+"."+name] == "" {
				t.Errorf("%s: %s has no entry in series.go", kind, name)
			}
			continue
		}
		var line L
		seven := 7.
		switch field := reflect.ValueOf(&line).Elem().Field(i); field.Interface().(type) {
		case float64:
			field.SetFloat(seven)
		case int64:
			field.SetInt(int64(seven))
		case *float64:
			field.Set(reflect.ValueOf(&seven))
		case []*float64:
			field.Set(reflect.ValueOf([]*float64{&seven}))
		}
		if got := values(s.Of(line)); len(got) != 1 || got[0] == nil || *got[0] != seven {
			t.Errorf("%s: the entry of %s reads another field", kind, name)
		}
	}
	for name := range entries {
		t.Errorf("%s: there is no field %s", kind, name)
	}
}

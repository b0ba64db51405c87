package history_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	_ "gocloud.dev/blob/fileblob"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/history/historytest"
	"github.com/cijepa/cijepa/job/predictions"
)

// rightOn are the answers of a run that has one image in n wrong.
func rightOn(images, n int) []bool {
	right := make([]bool, images)
	for i := range right {
		right[i] = i%n != 0
	}
	return right
}

// TestBrokenPredictionsAreToldAndHideNoRun: whatever is wrong with the predictions of one run, it
// is a problem of that run, and the run and the others' answers are read.
func TestBrokenPredictionsAreToldAndHideNoRun(t *testing.T) {
	const object = "runs/b/" + predictions.File
	for _, c := range []struct {
		name, want string
		result     func(*history.Result)
		object     func([]byte) []byte
	}{
		{"missing", "is not there", nil, func([]byte) []byte { return nil }},
		{"cut", "it has", nil, func(b []byte) []byte { return b[:len(b)-1] }},
		{"one bit flipped", "sha256", nil, func(b []byte) []byte { b[40] ^= 1; return b }},
		{"another place", "names", func(r *history.Result) { r.Predictions.File = "../a/" + predictions.File }, nil},
		{"a size of terabytes", "names", func(r *history.Result) { r.Predictions.Size = 1 << 42 }, nil},
		{"no size", "names", func(r *history.Result) { r.Predictions.Size = 0 }, nil},
		{"more classes", "is damaged", func(r *history.Result) { r.Data.Classes = 101 }, nil},
		{"more images", "is damaged", func(r *history.Result) { r.Data.ValidationSamples++ }, nil},
		{"other depths", "is damaged", func(r *history.Result) { r.Metrics.Depths[0].Depth = 0 }, nil},
		{"another top-1", "of another run", func(r *history.Result) { r.Metrics.Top1 = 1 }, nil},
	} {
		f := historytest.New(t)
		for seed, name := range []string{"a", "b", "c"} {
			f.PutAnswered(name, "demo", seed, rightOn(120, 3+seed))
		}
		bucket := f.Open()
		runs, _, unreadable, err := history.ReadAll(t.Context(), bucket)
		if err != nil || len(runs) != 3 || len(unreadable) != 0 {
			t.Fatalf("%d runs, %v, %v", len(runs), unreadable, err)
		}
		if c.result != nil {
			c.result(runs[1].Result)
		}
		if c.object != nil {
			data, err := os.ReadFile(f.Path(object))
			if err != nil {
				t.Fatal(err)
			}
			if data = c.object(data); data == nil {
				err = os.Remove(f.Path(object))
			} else {
				err = os.WriteFile(f.Path(object), data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		problems, err := history.ReadAnswers(t.Context(), bucket, runs, nil)
		if err != nil || len(problems) != 0 {
			t.Errorf("%s: %v, %v", c.name, problems, err)
		}
		told := strings.Join(runs[1].Problems, "; ")
		if len(runs[1].Problems) != 1 || runs[1].Answers != nil || !strings.Contains(told, c.want) || !strings.Contains(told, "predictions") {
			t.Errorf("%s: %q", c.name, told)
		}
		for i := range []int{0, 2} {
			run := runs[2*i]
			if len(run.Problems) != 0 || run.Answers == nil || !slices.Equal(run.Answers.Right, rightOn(120, 3+2*i)) {
				t.Errorf("%s: run %s has %q", c.name, run.Name, run.Problems)
			}
		}
		if runs[0].Answers.Labels != runs[2].Answers.Labels {
			t.Errorf("%s: other images", c.name)
		}
	}
}

// TestAnswersAreReadWhereThereIsSomethingToCompare: not of a run that is alone on its data, and not
// of one in progress or of an older program; but of a probe on the data of a run.
func TestAnswersAreReadWhereThereIsSomethingToCompare(t *testing.T) {
	f := historytest.New(t)
	f.PutAnswered("alone", "demo", 0, rightOn(120, 3))
	f.PutFinished("old", "demo", 1, 50)
	f.PutInterrupted("demo")
	if err := os.Remove(f.Path("runs/alone/" + predictions.File)); err != nil {
		t.Fatal(err)
	}
	bucket := f.Open()
	runs, _, _, err := history.ReadAll(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := history.ReadAnswers(t.Context(), bucket, runs, nil)
	if err != nil || len(problems) != 0 || slices.ContainsFunc(runs, func(r *history.Run) bool { return r.Answers != nil || r.Name != "open" && len(r.Problems) > 0 }) {
		t.Errorf("%v, %v: an object was read that nothing needs", problems, err)
	}

	f.PutAnswered("alone", "demo", 0, rightOn(120, 3))
	object, err := os.ReadFile(f.Path("runs/alone/" + predictions.File))
	if err != nil {
		t.Fatal(err)
	}
	if runs, _, _, err = history.ReadAll(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	alone := runs[slices.IndexFunc(runs, func(r *history.Run) bool { return r.Name == "alone" })]
	probe := history.Probe{Run: "alone", Name: "data-0.1", Result: *alone.Result}
	said := *alone.Result.Predictions
	said.File = "data-0.1/" + predictions.File
	probe.Result.Predictions = &said
	for _, broken := range []bool{true, false} {
		if !broken {
			f.Put("runs/alone/probes/data-0.1/"+predictions.File, object)
		}
		probes := []history.Probe{probe}
		problems, err := history.ReadAnswers(t.Context(), bucket, runs, probes)
		if err != nil || (len(problems) == 1) != broken || (probes[0].Answers == nil) != broken {
			t.Errorf("broken %v: %v, %v", broken, problems, err)
		}
		if alone.Answers == nil || len(alone.Problems) > 0 {
			t.Errorf("broken %v: the run has %v", broken, alone.Problems)
		}
	}
}

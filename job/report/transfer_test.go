package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/history/historytest"
	"github.com/cijepa/cijepa/job/record"
)

// putProbe writes the result of a probe.
func putProbe(f historytest.Bucket, run, name string, teacher record.Teacher, data string, share float64, top1 float64) {
	recipe := historytest.Record("L200", 0).Recipe
	recipe["Data"], recipe["ProbeShare"] = data, share
	f.PutRecord("runs/"+run+"/probes/"+name+".json", record.Result[map[string]any]{
		Version: record.Version, Run: run, Preset: "L200", Recipe: recipe, Teacher: &teacher,
		Data:    record.Data{ValidationSamples: 5000, Fingerprint: data},
		Metrics: record.Metrics{Top1: top1, UntrainedTop1: 12, KNNTop1: historytest.Value(30), UntrainedKNN: historytest.Value(25), Depths: []record.DepthMetrics{{Depth: 5, Top1: top1}}},
	})
}

// TestTransferIsTeachersByData: rows are teachers, a checkpoint and a file among them, columns data
// sets and shares; seeds of one cell are averaged; a folder that holds probes alone is no run, and
// a damaged probe is named.
func TestTransferIsTeachersByData(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("a", "L200", 0, 50)
	f.PutFinished("b", "L200", 1, 51)
	putProbe(f, "a", "cifar", record.Teacher{From: "runs/a"}, "cifar", 0, 60)
	putProbe(f, "a", "cifar-0.01", record.Teacher{From: "runs/a"}, "cifar", 0.01, 20)
	putProbe(f, "a", "cifar-0.01-seed5", record.Teacher{From: "runs/a"}, "cifar", 0.01, 24)
	putProbe(f, "b", "cifar-step100", record.Teacher{From: "runs/b", Step: 100}, "cifar", 0, 40)
	putProbe(f, "other", "cifar", record.Teacher{From: "s3://elsewhere/vit.safetensors"}, "cifar", 0, 70)
	f.Put("runs/b/probes/torn.json", []byte(`{"version":2`))
	r, err := Read(t.Context(), f.Open(), references)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 2 || len(r.Unreadable) != 1 || r.Unreadable[0].Run != "b, probe torn" {
		t.Fatalf("%d runs, unreadable: %v", len(r.Runs), r.Unreadable)
	}
	var got bytes.Buffer
	if err := r.writeMarkdown(&got, nil); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(got.String(), "## Teachers on other data\n\n")
	table, _, _ = strings.Cut(table, "\n\n")
	want := `| teacher | cifar | cifar, 1 % of the labels | data |
| --- | --- | --- | --- |
| a | 60.00 ± 0.69, untrained 12.00 | 22.00 ± 2.08, untrained 12.00 | 50.00 ± 0.71, untrained 0.00 |
| b at update 100 | 40.00 ± 0.69, untrained 12.00 | – | – |
| s3://elsewhere/vit.safetensors | 70.00 ± 0.65, untrained 12.00 | – | – |`
	if d := cmp.Diff(want, table); d != "" {
		t.Error(d)
	}
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`id="table-transfer"`, "2 seeds", "untrained 12.00", "kNN 30.00, untrained 25.00", "cifar, 1 % of the labels"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("no %q on the page", want)
		}
	}
}

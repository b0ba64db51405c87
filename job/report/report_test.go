package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "gocloud.dev/blob/fileblob"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/history/historytest"
	"github.com/cijepa/cijepa/job/record"
)

var references = []Reference{
	{Preset: "L200", Recipe: recipeOf("L200"), PostTop1: 64.04},
	{Preset: "R-A05-B08", Recipe: recipeOf("R-A05-B08"), PostTop1: 70.06},
}

// recipeOf is the recipe of a run, and a setting that was new after it.
func recipeOf(preset string) (recipe history.Recipe) {
	text, err := json.Marshal(historytest.Record(preset, 0).Recipe)
	if err = errors.Join(err, json.Unmarshal(text, &recipe)); err != nil {
		panic(err)
	}
	recipe["Warmup"] = json.RawMessage("0.025")
	return recipe
}

// TestFilesShowEveryRun, finished or not, and name those that could not be read.
func TestFilesShowEveryRun(t *testing.T) {
	f := historytest.New(t)
	f.PutFinished("R-A05-B08-s0", "R-A05-B08", 0, 69)
	f.PutFinished("R-A05-B08-s1", "R-A05-B08", 1, 71)
	f.PutFinished("L200-s0", "L200", 0, 50)
	f.Put("runs/broken/run.json", []byte(`{"version": 2, "pre`))
	f.PutInterrupted("<script>alert(1)</script>")
	f.PutFinished("torn", "L200", 1, 50)
	f.Put("runs/torn/result.json", []byte(`{"version":2,"metrics":{"top1":7`))
	r, err := Read(t.Context(), f.Open(), references)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, run := range r.Runs {
		names = append(names, run.Name)
	}
	if d := cmp.Diff([]string{"L200-s0", "torn", "R-A05-B08-s0", "R-A05-B08-s1", "open"}, names); d != "" {
		t.Error("runs in the order of the post, others last:", d)
	}
	odd := *r.Runs[0]
	for _, odd.Name = range []string{"-rf", "..", "$(id)", "a;id", "a b"} { // a shell would take it for more than a name
		if got := r.HandOn(&odd); got != "" {
			t.Errorf("%s is handed on with %q", odd.Name, got)
		}
	}
	copied := *r.Runs[0]
	if copied.RecordsAlone = true; r.HandOn(&copied) != "" {
		t.Error("the teacher of a run is handed on of which there are only the records")
	}
	if got, want := r.HandOn(r.Runs[0]), "cijepa export runs/L200-s0 && hf upload OWNER/NAME L200-s0"; !strings.HasSuffix(got, want) || r.HandOn(r.Runs[4]) != "" {
		t.Errorf("a finished run is handed on with %q, want %q; one in progress with %q", got, want, r.HandOn(r.Runs[4]))
	}
	checkFiles(t, r)
}

// TestPageOfARunInProgress shows how far it is, and refreshes itself.
func TestPageOfARunInProgress(t *testing.T) {
	f := historytest.New(t)
	f.PutInterrupted("L200")
	run, err := history.Read(t.Context(), f.Open(), "open")
	if err != nil {
		t.Fatal(err)
	}
	run = run.With(history.Current{Alarms: []record.Alarm{{Step: 80, Alarm: record.AlarmRank, Text: "Few directions."}}})
	r := Report{
		Runs:     []*history.Run{run},
		Progress: &Progress{Doing: "pretrain, update 70 of 200", Done: 70, Total: 200, Remaining: 90 * time.Second},
	}
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Features of depth 3 are all alike.", "Few directions.", "pretrain, update 70 of 200", "1 min 30 s left",
		`<progress max="200" value="70"`, "connect-src 'self'", `data-refresh="15"`, "<svg ",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page of a run in progress lacks %s", want)
		}
	}
}

func checkFiles(t *testing.T, r *Report) {
	files, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]string{}
	for _, f := range files {
		byName[f.Name] = string(f.Data)
		if strings.HasSuffix(f.Name, ".png") && !strings.HasPrefix(string(f.Data), "\x89PNG") {
			t.Errorf("%s is no picture", f.Name)
		}
	}
	for _, name := range []string{"report.html", "report.md", "runs.csv", "profile.png", "loss.png", "table-L200-s0.png"} {
		if byName[name] == "" {
			t.Errorf("no %s", name)
		}
	}
	page := byName["report.html"]
	if strings.Contains(page, "<script>alert") {
		t.Error("a preset's name got into the page as markup")
	}
	if strings.Contains(page, "connect-src") || strings.Contains(page, "data-refresh") {
		t.Error("the page of a file asks for itself again")
	}
	for _, outside := range []string{"http://", "https://", "src=", "@import", "url("} {
		if strings.Contains(strings.ReplaceAll(page, `xmlns="http://www.w3.org`, ""), outside) {
			t.Errorf("the page has %s: it must need nothing but itself", outside)
		}
	}
	described := regexp.MustCompile(`<svg viewBox="[^"]*" role="img" aria-label="[^"]{20,}"`)
	if n, alts := strings.Count(page, "<svg "), len(described.FindAllString(page, -1)); n == 0 || n != alts {
		t.Errorf("%d charts, %d with a text of what they show", n, alts)
	}
	for _, left := range []string{"#010203", "#0103", "font-family:Liberation"} {
		if strings.Contains(page, left) {
			t.Errorf("a colour or font of the chart library is left in the page: %s", left)
		}
	}
	for _, want := range []string{"runs/broken/run.json is damaged", "runs/torn/result.json is damaged", "untrained encoder", "Recipes and their seeds"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(byName["runs.csv"])).ReadAll()
	if err != nil || len(rows) != 1+len(r.Runs) || rows[1][3] != "50" {
		t.Errorf("runs.csv: %d rows, %v", len(rows), err)
	}
	for _, want := range []string{
		"| R-A05-B08 | 1-3,5 |", "could not be read: broken: runs/broken/run.json is damaged",
		"runs/torn/result.json is damaged",
	} {
		if !strings.Contains(byName["report.md"], want) {
			t.Errorf("report.md lacks %q", want)
		}
	}
}

// TestReportOf200RunsTakesSeconds, with runs as long as the post's: 200 epochs, 11 depths.
func TestReportOf200RunsTakesSeconds(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short: reads and draws 200 runs")
	}
	f := historytest.New(t)
	for n := range 200 {
		name := fmt.Sprintf("run-%03d", n)
		f.PutFinished(name, "L200", n, 50)
		var steps []record.Step
		for i := range 200 {
			steps = append(steps, record.Step{
				Phase: "pretrain", Step: int64(200 + 50*i), Epoch: float64(i),
				Loss: historytest.Value(1 / float64(i+1)), Table: historytest.Table(11, 0.5),
			})
		}
		historytest.PutLines(f, "runs/"+name+"/metrics/steps-b-1-000001.jsonl", steps...)
		var health []record.Health
		for i := range 200 {
			h := record.Health{Step: int64(i), Epoch: int64(i), Depths: []int{1, 2, 3, 5}}
			for range 4 {
				h.Rank, h.Std, h.RMS = append(h.Rank, historytest.Value(9)), append(h.Std, historytest.Value(0.5)), append(h.RMS, historytest.Value(2))
			}
			health = append(health, h)
		}
		historytest.PutLines(f, "runs/"+name+"/metrics/health-b-1-000001.jsonl", health...)
	}
	bucket := f.Open()
	start, before := time.Now(), computed(t)
	r, err := Read(t.Context(), bucket, references)
	if err != nil {
		t.Fatal(err)
	}
	files, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	took := computed(t) - before
	t.Logf("200 runs in %.1f s of computing, %.1f s on this machine as it is; page of %.1f MB",
		took.Seconds(), time.Since(start).Seconds(), float64(len(files[0].Data))/1e6)
	if len(r.Runs) != 200 || took > 10*time.Second {
		t.Errorf("%d runs in %s", len(r.Runs), took)
	}
}

// computed is the processor time that this process has taken: what a report takes on a quiet
// machine, however busy this one is.
func computed(t *testing.T) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

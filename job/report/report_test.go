package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "gocloud.dev/blob/fileblob"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/storage"
)

// folder is a bucket on disk that a test fills.
type folder struct {
	t    *testing.T
	root string
}

func newFolder(t *testing.T) folder { return folder{t, t.TempDir()} }

func (f folder) put(key string, text []byte) {
	f.t.Helper()
	path := filepath.Join(f.root, key)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o666); err != nil {
		f.t.Fatal(err)
	}
}

func (f folder) putJSON(key string, v any) {
	f.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		f.t.Fatal(err)
	}
	f.put(key, text)
}

func putLines[T any](f folder, key string, lines ...T) {
	f.t.Helper()
	var b bytes.Buffer
	for _, l := range lines {
		text, err := json.Marshal(l)
		if err != nil {
			f.t.Fatal(err)
		}
		b.Write(append(text, '\n'))
	}
	f.put(key, b.Bytes())
}

func (f folder) open() *storage.Bucket {
	f.t.Helper()
	bucket, err := storage.Open(f.t.Context(), "file://"+f.root, storage.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { bucket.Close() })
	return bucket
}

var begin = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func of(v float64) *float64 { return &v }

// table is an L x L table with v in every cell.
func table(l int, v float64) [][]*float64 {
	cells := make([][]*float64, l)
	for i := range cells {
		for range l {
			cells[i] = append(cells[i], of(v))
		}
	}
	return cells
}

func begun(preset string, seed int) record.RunRecord[map[string]any] {
	rows := 2
	if preset == "L200" {
		rows = 0
	}
	return record.RunRecord[map[string]any]{Version: 1, Preset: preset, Fingerprint: "data", Begun: begin, Recipe: map[string]any{
		"Seed": seed, "Epochs": 200, "IntermediateRows": rows, "Depths": []int{1, 2, 3, 5}, "AllToLastWeight": 0.5, "LastToLastWeight": nil, "CropScale": []float64{0.3, 1}, "Data": "imagenet-100",
	}}
}

// finished writes a whole run on data of the post's size.
func (f folder) finished(name, preset string, seed int, top1 float64) {
	f.putJSON("runs/"+name+"/run.json", begun(preset, seed))
	f.putJSON("runs/"+name+"/result.json", record.Result[map[string]any]{
		Version: 1, Run: name, Preset: preset, PostTop1: of(70.06), Data: record.Data{ValidationSamples: 5000},
		Metrics: record.Metrics{Top1: top1, Depths: []record.DepthMetrics{{Depth: 1, Top1: 20}, {Depth: 2, Top1: 40}, {Depth: 3, Top1: 60}, {Depth: 5, Top1: top1}}, Table: table(4, 0.5)},
		Stats:   record.RunStats{Ended: begin.Add(3 * time.Hour), PretrainSeconds: 7200},
	})
	putLines(f, "runs/"+name+"/metrics/attempt-a-1-000001.jsonl", record.Attempt{Time: begin, Phase: "pretrain"})
	putLines(f, "runs/"+name+"/metrics/steps-a-1-000001.jsonl",
		record.Step{Phase: "pretrain", Step: 50, Epoch: 0.5, Loss: of(1), Table: table(4, 0.9)}, record.Step{Phase: "pretrain", Step: 100, Epoch: 1, Loss: of(0.5), Table: table(4, 0.5)})
}

var references = []Reference{
	{Preset: "L200", Depths: "1-3,5", Epochs: 200, Alpha: "0.5", Beta: "-", Recipe: recipeOf("L200"), PostTop1: 64.04},
	{Preset: "R-A05-B08", Depths: "1-3,5", Epochs: 200, Alpha: "0.5", Beta: "-", Rows: 2, Recipe: recipeOf("R-A05-B08"), PostTop1: 70.06},
}

// recipeOf is the recipe of begun, and a setting that was new after it.
func recipeOf(preset string) (recipe Recipe) {
	text, err := json.Marshal(begun(preset, 0).Recipe)
	if err = errors.Join(err, json.Unmarshal(text, &recipe)); err != nil {
		panic(err)
	}
	recipe["Warmup"] = json.RawMessage("0.025")
	return recipe
}

// TestReport reads finished, stopped, killed and damaged runs at once.
func TestReport(t *testing.T) {
	f := newFolder(t)
	f.finished("R-A05-B08-s0", "R-A05-B08", 0, 69)
	f.finished("R-A05-B08-s1", "R-A05-B08", 1, 71)
	f.finished("L200-s0", "L200", 0, 50)
	f.put("runs/broken/run.json", []byte(`{"version": 1, "pre`))
	f.put("runs/older/run.json", []byte(`{"version": 99}`))
	f.put("runs/nothing/state/pretrain-1-a/x", nil)
	f.put("imagenet-100/index.json", []byte(`{}`))

	f.putJSON("runs/open/run.json", begun("<script>alert(1)</script>", 3))
	metrics := "runs/open/metrics/"
	putLines(f, metrics+"attempt-first-1-000001.jsonl", record.Attempt{Time: begin, Phase: "pretrain"})
	putLines(f, metrics+"attempt-first-1-000002.jsonl", record.Attempt{Time: begin.Add(time.Hour), Phase: "pretrain", Step: 30})
	putLines(f, metrics+"attempt-a-second-2-000001.jsonl", record.Attempt{Time: begin.Add(2 * time.Hour), Phase: "pretrain", From: 30, Step: 30})
	putLines(f, metrics+"attempt-b-third-3-000001.jsonl", record.Attempt{Time: begin.Add(3 * time.Hour), Phase: "pretrain", From: 40, Step: 40})
	putLines(f, metrics+"steps-first-1-000001.jsonl", record.Step{Phase: "pretrain", Step: 20, Loss: of(1)}, record.Step{Phase: "pretrain", Step: 30, Loss: of(2)})
	putLines(f, metrics+"steps-a-second-2-000001.jsonl", record.Step{Phase: "pretrain", Step: 60, Loss: of(3)})
	f.put(metrics+"steps-b-third-3-000001.jsonl", []byte("{\"phase\":\"pretrain\",\"step\":60,\"loss\":4,\"epoch\":0.6}\n{\"step\":\n{\"phase\":\"probe\",\"step\":7}\n"))
	depth := 3
	alarm := record.Alarm{Step: 60, Alarm: record.AlarmCollapse, Depth: &depth, Text: "Features of depth 3 are all alike."}
	putLines(f, metrics+"alarms-a-second-2-000001.jsonl", alarm)
	putLines(f, metrics+"alarms-b-third-3-000001.jsonl", alarm, record.Alarm{Step: 70, Alarm: record.AlarmTable})

	r, err := Read(t.Context(), f.open(), references)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, run := range r.Runs {
		names = append(names, run.Name)
	}
	if d := cmp.Diff([]string{"L200-s0", "R-A05-B08-s0", "R-A05-B08-s1", "open"}, names); d != "" {
		t.Error("runs:", d)
	}
	var unreadable []string
	for _, u := range r.Unreadable {
		unreadable = append(unreadable, u.Run)
		if !strings.Contains(u.Why, "runs/"+u.Run+"/run.json") {
			t.Errorf("%s: %q does not name the object", u.Run, u.Why)
		}
	}
	if d := cmp.Diff([]string{"broken", "nothing", "older"}, unreadable); d != "" {
		t.Error("unreadable:", d)
	}

	open := r.Runs[3]
	if len(open.Trouble) != 1 || !strings.Contains(open.Trouble[0], "steps-b-third-3-000001.jsonl") {
		t.Errorf("trouble %q, want the one damaged line", open.Trouble)
	}
	var losses []float64
	for _, s := range open.Steps {
		losses = append(losses, *s.Loss)
	}
	if d := cmp.Diff([]float64{1, 2, 4}, losses); d != "" {
		t.Error("of lines with one step the newest attempt's must hold:", d)
	}
	if len(open.Probe) != 1 || open.State() != "in the probe" {
		t.Errorf("%d lines of the probe, state %q", len(open.Probe), open.State())
	}
	var how []string
	for _, a := range open.Attempts {
		how = append(how, fmt.Sprintf("%s %d-%d %s", a.Name, a.From, a.Reached, a.How))
	}
	if d := cmp.Diff([]string{"first-1 0-30 stopped", "a-second-2 30-60 killed", "b-third-3 40-60 at work or killed"}, how); d != "" {
		t.Error("attempts:", d)
	}
	if open.Lost() != 20 {
		t.Errorf("%d updates lost, want 20: the second attempt came to 60, the third began from 40", open.Lost())
	}
	if len(open.Alarms) != 2 {
		t.Errorf("%d alarms, want 2: one was raised twice over the same update", len(open.Alarms))
	}
	t.Run("files", func(t *testing.T) { checkFiles(t, r) })
	t.Run("watched", func(t *testing.T) { checkWatched(t, f) })
}

// checkWatched: the page of a run in progress has what its process has written since it read its folder, in the place of what earlier
// attempts wrote of the same updates.
func checkWatched(t *testing.T, f folder) {
	before, err := ReadRun(t.Context(), f.open(), "open")
	if err != nil {
		t.Fatal(err)
	}
	run := before.With(Lines{
		Steps:  []record.Step{{Phase: "pretrain", Step: 60, Loss: of(7)}, {Phase: "pretrain", Step: 70, Loss: of(8)}, {Phase: "probe", Step: 9}},
		Alarms: []record.Alarm{{Step: 80, Alarm: record.AlarmRank, Text: "Few directions."}}, Online: []record.Eval{{Step: 70}},
	})
	if n := len(run.Steps); n != 4 || *run.Steps[2].Loss != 7 || *run.Steps[3].Loss != 8 || len(run.Probe) != 2 || len(run.Online) != 1 || len(run.Alarms) != 3 {
		t.Errorf("%d steps, %d of the probe, %d alarms", n, len(run.Probe), len(run.Alarms))
	}
	if a := run.Attempts; a[2].How != "at work" || a[2].Reached != 70 || before.Attempts[2].Reached != 60 || len(before.Steps) != 3 {
		t.Errorf("the newest attempt came to %d, and to %d in what was read before", a[2].Reached, before.Attempts[2].Reached)
	}
	var page bytes.Buffer
	if err := (&Report{Runs: []*Run{run}, Watch: &Watch{Doing: "pretrain, update 70 of 200", Done: 70, Total: 200, Remaining: 90 * time.Second}}).HTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Features of depth 3 are all alike.", "Few directions.", "pretrain, update 70 of 200", "1 min 30 s left", `<progress max="200" value="70"`, "connect-src 'self'", "<svg "} {
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
	if strings.Contains(page, "connect-src") || strings.Contains(page, "data-renew") {
		t.Error("the page of a file asks for itself again")
	}
	for _, outside := range []string{"http://", "https://", "src=", "@import", "url("} {
		if strings.Contains(strings.ReplaceAll(page, `xmlns="http://www.w3.org`, ""), outside) {
			t.Errorf("the page has %s: it must need nothing but itself", outside)
		}
	}
	if n, alts := strings.Count(page, "<svg "), len(regexp.MustCompile(`<svg viewBox="[^"]*" role="img" aria-label="[^"]{20,}"`).FindAllString(page, -1)); n == 0 || n != alts {
		t.Errorf("%d charts, %d with a text of what they show", n, alts)
	}
	for _, left := range []string{"#010203", "#0103", "font-family:Liberation"} {
		if strings.Contains(page, left) {
			t.Errorf("a colour or font of the chart library is left in the page: %s", left)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(byName["runs.csv"])).ReadAll()
	if err != nil || len(rows) != 1+len(r.Runs) || rows[1][3] != "50" {
		t.Errorf("runs.csv: %d rows, %v", len(rows), err)
	}
	for _, want := range []string{"| R-A05-B08 | 1-3,5 |", "could not be read: broken"} {
		if !strings.Contains(byName["report.md"], want) {
			t.Errorf("report.md lacks %q", want)
		}
	}
}

// TestRows checks mean, errors and sentence against figures made by hand.
func TestRows(t *testing.T) {
	f := newFolder(t)
	f.finished("R-A05-B08-s0", "R-A05-B08", 0, 69)
	f.finished("R-A05-B08-s1", "R-A05-B08", 1, 71)
	f.finished("L200-s0", "L200", 0, 50)
	r, err := Read(t.Context(), f.open(), references)
	if err != nil {
		t.Fatal(err)
	}
	rows := r.Rows()
	images := 100 * math.Sqrt(0.7*0.3/5000)
	two := rows[1]
	if se := math.Hypot(images, 1); two.Runs != 2 || *two.Mean != 70 || math.Abs(*two.Error-se) > 1e-9 { // deviation sqrt(2), over sqrt(2)
		t.Errorf("two seeds: %d runs, mean %g ± %g, want 70 ± %g", two.Runs, *two.Mean, *two.Error, se)
	}
	if !strings.HasPrefix(two.Verdict, "Within noise: 0.06") {
		t.Errorf("70 against 70.06: %q", two.Verdict)
	}
	if low := rows[0]; !strings.HasPrefix(low.Verdict, "Below the post's by more than noise: 14.04") || math.Abs(*low.Difference+14.04) > 1e-9 {
		t.Errorf("50 against 64.04: %q", low.Verdict)
	}
	if d := cmp.Diff([]string{"R-A05-B08 is 20.00 ± 1.39 points above L200: more than noise."}, r.Contrasts()); d != "" {
		t.Error(d)
	}
	r.Runs[0].Result.PostTop1 = nil
	if row := r.Rows()[0]; row.Difference != nil || *row.Mean != 50 || row.Verdict != "Not to be compared with the post's figure: other data." {
		t.Errorf("other data was compared with the post's: %q", row.Verdict)
	}
}

// TestWithoutRecord: a finished run whose run.json somebody has deleted is still one, by its result.
func TestWithoutRecord(t *testing.T) {
	f := newFolder(t)
	f.finished("L200-s0", "L200", 0, 50)
	text, err := os.ReadFile(filepath.Join(f.root, "runs/L200-s0/result.json"))
	if err != nil {
		t.Fatal(err)
	}
	var result map[string]any
	if err := json.Unmarshal(text, &result); err != nil {
		t.Fatal(err)
	}
	result["recipe"] = begun("L200", 0).Recipe
	f.putJSON("runs/L200-s0/result.json", result)
	if err := os.Remove(filepath.Join(f.root, "runs/L200-s0/run.json")); err != nil {
		t.Fatal(err)
	}
	r, err := Read(t.Context(), f.open(), references)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 1 || r.Runs[0].Preset != "L200" || r.Runs[0].Setting("Epochs") != "200" || len(r.Runs[0].Trouble) != 1 || !strings.Contains(r.Runs[0].Trouble[0], "run.json is not there") {
		t.Fatalf("%d runs, unreadable %v", len(r.Runs), r.Unreadable)
	}
	if row := r.Rows()[0]; row.Difference == nil {
		t.Errorf("not compared with the post's: %s", row.Verdict)
	}
}

// TestOtherRecipes: a run that only began with a preset's name is not compared with the post's figure, nor averaged with those that are.
func TestOtherRecipes(t *testing.T) {
	f := newFolder(t)
	f.finished("R-A05-B08-s0", "R-A05-B08", 0, 69)
	f.finished("R-A05-B08-s1", "R-A05-B08", 1, 71)
	f.finished("short", "R-A05-B08", 0, 30)
	f.finished("hot", "R-A05-B08", 2, 70)
	f.finished("elsewhere", "R-A05-B08", 0, 90)
	f.finished("narrow", "R-A05-B08", 0, 20)
	change := func(name string, recipe func(map[string]any)) {
		other := begun("R-A05-B08", 2)
		recipe(other.Recipe)
		f.putJSON("runs/"+name+"/run.json", other)
	}
	change("short", func(r map[string]any) { r["Epochs"] = 3 })
	change("hot", func(r map[string]any) { r["PeakLR"], r["MicroBatch"] = 0.1, 64 })
	change("narrow", func(r map[string]any) { r["CropScale"] = []float64{0.5, 1} })
	change("R-A05-B08-s1", func(r map[string]any) { r["MicroBatch"] = 128 }) // a smaller card
	other := begun("R-A05-B08", 0)
	other.Fingerprint = "other data"
	f.putJSON("runs/elsewhere/run.json", other)
	r, err := Read(t.Context(), f.open(), references)
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range r.Runs {
		if run.Name == "elsewhere" {
			run.Result.PostTop1 = nil
		}
	}
	row := r.Rows()[1]
	if row.Runs != 3 || *row.Mean != 70 {
		t.Errorf("the mean of %d runs is %g, want 70 of 3", row.Runs, *row.Mean)
	}
	for _, want := range []string{"Left out: 3 with ", "epochs 3 instead of 200", "CropScale 0.5,1 instead of 0.3,1", "other data", "The runs differ in more than their seed: PeakLR."} {
		if !strings.Contains(row.Verdict, want) {
			t.Errorf("%q lacks %q", row.Verdict, want)
		}
	}
	want := []string{ // nothing is said of runs on other data
		"R-A05-B08-s0 is 0.00 ± 1.36 points above hot: within noise.",
		"R-A05-B08-s0 is 50.00 ± 1.32 points above narrow: more than noise.",
		"R-A05-B08-s0 is 40.00 ± 1.36 points above short: more than noise.",
	}
	if d := cmp.Diff(want, r.Contrasts()); d != "" {
		t.Error(d)
	}
}

// TestDifferences names the settings that differ, and only those.
func TestDifferences(t *testing.T) {
	f := newFolder(t)
	f.finished("a", "L200", 0, 50)
	f.finished("b", "L200", 7, 50)
	r, err := Read(t.Context(), f.open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Difference{{"Seed", []string{"0", "7"}}}, r.Differences()); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]string{"Depths": "1-3,5", "AllToLastWeight": "0.5", "LastToLastWeight": "-", "CropScale": "0.3,1", "Data": "imagenet-100", "None": ""} {
		if got := r.Runs[0].Setting(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestAlphaBeta maps top-1 when the weights vary, and is silent when they do not.
func TestAlphaBeta(t *testing.T) {
	f := newFolder(t)
	f.finished("a", "R-A05-B05", 0, 50)
	r, err := Read(t.Context(), f.open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.alphaBeta() != nil {
		t.Error("a map of one cell")
	}
	other := begun("R-U", 0)
	f.finished("b", "R-U", 0, 60)
	other.Recipe["AllToLastWeight"] = 0.8
	f.putJSON("runs/b/run.json", other)
	if r, err = Read(t.Context(), f.open(), nil); err != nil {
		t.Fatal(err)
	}
	h := r.alphaBeta()
	if h == nil {
		t.Fatal("no map")
	}
	if d := cmp.Diff([][]string{{"50.00", "–"}, {"–", "60.00"}}, texts(h)); d != "" { // beta, not set, takes alpha's
		t.Error(d)
	}
}

func texts(h *heatMap) [][]string {
	var all [][]string
	for _, row := range h.Cells {
		var line []string
		for _, c := range row {
			line = append(line, c.Text)
		}
		all = append(all, line)
	}
	return all
}

// TestManyRuns reads 200 runs and writes their report, with runs as long as the post's: 200 epochs, 11 depths.
func TestManyRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("reads and draws 200 runs")
	}
	f := newFolder(t)
	for n := range 200 {
		name := fmt.Sprintf("run-%03d", n)
		f.finished(name, "L200", n, 50)
		var steps []record.Step
		for i := range 200 {
			steps = append(steps, record.Step{Phase: "pretrain", Step: int64(200 + 50*i), Epoch: float64(i), Loss: of(1 / float64(i+1)), Table: table(11, 0.5)})
		}
		putLines(f, "runs/"+name+"/metrics/steps-b-1-000001.jsonl", steps...)
		var health []record.Health
		for i := range 200 {
			h := record.Health{Step: int64(i), Epoch: int64(i), Depths: []int{1, 2, 3, 5}}
			for range 4 {
				h.Rank, h.Std, h.RMS = append(h.Rank, of(9)), append(h.Std, of(0.5)), append(h.RMS, of(2))
			}
			health = append(health, h)
		}
		putLines(f, "runs/"+name+"/metrics/health-b-1-000001.jsonl", health...)
	}
	bucket := f.open()
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
	t.Logf("200 runs in %.1f s of computing, %.1f s on this machine as it is; page of %.1f MB", took.Seconds(), time.Since(start).Seconds(), float64(len(files[0].Data))/1e6)
	if len(r.Runs) != 200 || took > 10*time.Second {
		t.Errorf("%d runs in %s", len(r.Runs), took)
	}
}

// computed is the processor time that this process has taken: what a report takes on a quiet machine, however busy this one is.
func computed(t *testing.T) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// TestAttemptsThatOverlap: what one attempt made is not laid to another that ran beside it, whether that could write its end or
// not.
func TestAttemptsThatOverlap(t *testing.T) {
	count := func(n int64) *int64 { return &n }
	f := folder{t, t.TempDir()}
	f.putJSON("runs/r/run.json", begun("R-U", 0))
	for name, lines := range map[string][]record.Attempt{
		"a": {{Time: begin, From: 108, Step: 108}, {Time: begin.Add(3 * time.Hour), From: 108, Step: 127, Saved: count(127), How: record.Stopped}},
		"b": {{Time: begin.Add(time.Hour), From: 108, Step: 108}, {Time: begin.Add(2 * time.Hour), From: 108, Step: 109, Saved: count(108), How: record.Overtaken}},
		"c": {{Time: begin.Add(150 * time.Minute), From: 108, Step: 108}},
		"d": {{Time: begin.Add(4 * time.Hour), From: 127, Step: 127}},
		"e": {{Time: begin.Add(5 * time.Hour), From: 140, Step: 140}},
	} {
		for i := range lines {
			lines[i].Phase = record.Pretraining
		}
		putLines(f, "runs/r/metrics/attempt-"+name+"-1-000001.jsonl", lines...)
	}
	r, err := Read(t.Context(), f.open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var how []string
	for _, a := range r.Runs[0].Attempts {
		how = append(how, fmt.Sprintf("%s %d-%d %s", a.Name, a.From, a.Reached, a.How))
	}
	want := []string{"a-1 108-127 stopped", "b-1 108-109 overtaken", "c-1 108-108 killed", "d-1 127-140 killed", "e-1 140-140 at work or killed"}
	if d := cmp.Diff(want, how); d != "" {
		t.Error("attempts:", d)
	}
	if lost := r.Runs[0].Lost(); lost != 1 {
		t.Errorf("%d updates lost, want the one of the attempt that was overtaken", lost)
	}
}

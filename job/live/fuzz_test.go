package live

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/cijepa/cijepa/job/history/historytest"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/report"
	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// read shows one run as the report and as the page of a run in progress. Whatever its objects hold,
// nothing panics, and the run is shown or listed as unreadable. PNGs take most of the time: they
// are drawn of a few.
func read(t *testing.T, bucket *storage.Bucket, pictures bool) {
	t.Helper()
	r, err := report.Read(t.Context(), bucket, nil)
	if err != nil || len(r.Runs)+len(r.Unreadable) != 1 {
		t.Fatalf("%d runs, %d unreadable: %v", len(r.Runs), len(r.Unreadable), err)
	}
	begun := time.Now()
	if pictures {
		_, err = r.Files()
	} else {
		err = r.HTML(io.Discard)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) == 0 {
		return
	}
	v, o := filled()
	v.Before(r.Runs[0])
	page, err := newPage(v, o)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 30*time.Second || len(page) > maxPage {
		t.Errorf("a page of %d bytes in %v", len(page), took)
	}
	w := httptest.NewRecorder()
	v.handler(o).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Errorf("metrics: %d %s", w.Code, w.Body)
	}
}

// newPage draws without the recovery of the handler.
func newPage(v *View, o Options) ([]byte, error) {
	o.Log = slog.New(slog.DiscardHandler)
	return v.draw(o, time.Now())
}

func put(t *testing.T, bucket *storage.Bucket, key string, text []byte) {
	t.Helper()
	if _, err := bucket.PutBytes(t.Context(), key, text); err != nil {
		t.Fatal(err)
	}
}

// FuzzMetricsLines: any bytes as the lines of a kind.
func FuzzMetricsLines(f *testing.F) {
	kinds := []string{record.Steps, record.Healths, record.Evals, record.Alarms, record.Attempts}
	for i, line := range []any{
		record.Step{Phase: record.Pretraining, Step: 5, Epoch: 0.5, Loss: number(1e11), Updates: []int64{7}, Table: historytest.Table(4, 0.5)},
		record.Health{Step: 5, Epoch: 1, Depths: []int{1, 2}, Std: []*float64{number(0.5)}},
		record.Eval{Step: 5, Epoch: 1, ProbeTop1: 50, KNNTop1: number(40)},
		record.Alarm{Step: 5, Alarm: record.AlarmTable, Text: "a\x1b[2Jb"},
		record.Attempt{Time: historytest.Begin, Phase: record.Probing, Step: 5, Manifest: 3, How: record.Stopped},
	} {
		text, err := json.Marshal(line)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), append(text, '\n'))
	}
	f.Add(uint8(0), []byte(`{"phase":"pretrain","step":1,"loss":1e17}`+"\n"+`{"phase":"pretrain","step":2,"loss":100000000000000016}`))
	f.Fuzz(func(t *testing.T, kind uint8, lines []byte) {
		bucket := storagetest.Memory(t)
		text, err := record.Seal(historytest.Record("L200", 0))
		if err != nil {
			t.Fatal(err)
		}
		put(t, bucket, "runs/r/run.json", text)
		put(t, bucket, "runs/r/metrics/"+kinds[int(kind)%len(kinds)]+"-a-1-000001.jsonl", lines)
		put(t, bucket, "runs/r/metrics/steps-b-2-000001.jsonl", []byte(`{"phase":"pretrain","step":9,"loss":0.5}`))
		read(t, bucket, len(lines)%16 == 0)
	})
}

// fuzzSealed fuzzes one sealed object: its bytes as they are, and, if they are a JSON object, with
// a checksum that fits.
func fuzzSealed(f *testing.F, name string, example any) {
	text, err := json.Marshal(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, true)
	sealed, err := record.Seal(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, false)
	f.Fuzz(func(t *testing.T, text []byte, seal bool) {
		if seal {
			var err error
			if text, err = record.Seal(json.RawMessage(text)); err != nil {
				t.Skip("no JSON object")
			}
		}
		bucket := storagetest.Memory(t)
		put(t, bucket, "runs/r/"+name, text)
		put(t, bucket, "runs/r/metrics/steps-b-2-000001.jsonl", []byte(`{"phase":"pretrain","step":9,"loss":0.5}`))
		read(t, bucket, len(text)%16 == 0)
	})
}

// FuzzResult: any bytes as result.json, of a run whose run.json is gone.
func FuzzResult(f *testing.F) {
	fuzzSealed(f, "result.json", record.Result[map[string]any]{
		Version: record.Version, Run: "r", Preset: "L200", Recipe: historytest.Record("L200", 0).Recipe, PostTop1: number(70),
		Data: record.Data{ValidationSamples: 5000},
		Metrics: record.Metrics{
			Top1: 60, Table: historytest.Table(2, 0.5), PathwayCounts: []int64{1, 2},
			Depths: slices.Repeat([]record.DepthMetrics{{Depth: 1, Top1: 20}}, 2),
		},
		Stats: record.RunStats{Begun: historytest.Begin, Ended: historytest.Begin.Add(time.Hour), PretrainSeconds: 7200},
	})
}

// FuzzRunRecord: any bytes as run.json.
func FuzzRunRecord(f *testing.F) { fuzzSealed(f, "run.json", historytest.Record("L200", 0)) }

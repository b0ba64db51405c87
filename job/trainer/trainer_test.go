package trainer

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cijepa/cijepa/job/record"
)

// update is the body of a post, field for field as trainer.kubeflow.org/v1alpha1 has it.
type update struct {
	TrainerStatus *struct {
		ProgressPercentage        *int32    `json:"progressPercentage"`
		EstimatedRemainingSeconds *int32    `json:"estimatedRemainingSeconds"`
		Metrics                   []Metric  `json:"metrics"`
		LastUpdatedTime           time.Time `json:"lastUpdatedTime"`
	} `json:"trainerStatus"`
}

// server is a status server with TLS, which notes what it is sent.
type server struct {
	*httptest.Server
	options Options

	mu      sync.Mutex
	tokens  []string
	updates []update
	answer  int
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{answer: http.StatusOK}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var u update
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&u); err != nil || r.Method != http.MethodPost || r.URL.Path != "/status" || u.TrainerStatus == nil {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tokens, s.updates = append(s.tokens, r.Header.Get("Authorization")), append(s.updates, u)
		w.WriteHeader(s.answer)
		_, _ = w.Write([]byte(`{"status":"Failure","message":"Forbidden"}`))
	}))
	t.Cleanup(s.Close)
	folder := t.TempDir()
	s.options = Options{URL: s.URL + "/status", CACert: filepath.Join(folder, "ca.crt"), Token: filepath.Join(folder, "token")}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := errors.Join(os.WriteFile(s.options.CACert, ca, 0o600), os.WriteFile(s.options.Token, []byte("one\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return s
}

func number(v float64) *float64 { return &v }

// TestTokenIsReadForEveryPost, because it rotates; the CA is Trainer's own, and the body is
// Trainer's.
func TestTokenIsReadForEveryPost(t *testing.T) {
	s := newServer(t)
	r := New(s.options, slog.New(slog.DiscardHandler))
	line := record.Step{Phase: record.Pretraining, Step: 50, Epoch: 3.5, Loss: number(0.25), ImagesPerSecond: 1500}
	r.Done(Underway(line, 100, time.Hour, &record.Eval{ProbeTop1: 61.5}, 2))
	if err := os.WriteFile(s.options.Token, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Done(Finished(record.Metrics{Top1: 70.25, Depths: make([]record.DepthMetrics, 1)}))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.updates) != 2 || s.tokens[0] != "Bearer one" || s.tokens[1] != "Bearer two" {
		t.Fatalf("%d posts with %q", len(s.updates), s.tokens)
	}
	first, last := s.updates[0].TrainerStatus, s.updates[1].TrainerStatus
	if *first.ProgressPercentage != 47 || *first.EstimatedRemainingSeconds != 3600+378 || time.Since(first.LastUpdatedTime) > time.Minute {
		t.Errorf("half of pretraining is told as %d %%, %d s left", *first.ProgressPercentage, *first.EstimatedRemainingSeconds)
	}
	want := map[string]string{"phase": "pretrain", "epoch": "3.5", "loss": "0.25", "images_per_second": "1500", "eval_probe_top1": "61.5", "alarms": "2"}
	for _, m := range first.Metrics {
		if want[m.Name] != m.Value {
			t.Errorf("%s is %s, want %q", m.Name, m.Value, want[m.Name])
		}
		delete(want, m.Name)
	}
	if len(want) > 0 || *last.ProgressPercentage != 100 || *last.EstimatedRemainingSeconds != 0 || last.Metrics[0] != (Metric{"top1", "70.25"}) {
		t.Errorf("untold: %v; the end is told as %+v", want, last)
	}
}

// TestPostsAreFiveSecondsApart, and the newest status is what is sent.
func TestPostsAreFiveSecondsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var posts []time.Duration
		var bodies []string
		begin := time.Now()
		r := New(Options{URL: "https://trainer"}, slog.New(slog.DiscardHandler))
		r.post = func(_ context.Context, body []byte) error {
			posts, bodies = append(posts, time.Since(begin)), append(bodies, string(body))
			return nil
		}
		for i := range 220 {
			r.Report(Status{Percent: i / 3})
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(posts) < 5 || len(posts) > 6 {
			t.Fatalf("%d posts in 22 s: %v", len(posts), posts)
		}
		for i := 1; i < len(posts); i++ {
			if gap := posts[i] - posts[i-1]; gap < interval {
				t.Errorf("%s between two posts", gap)
			}
		}
		if last := bodies[len(bodies)-1]; !strings.Contains(last, `"progressPercentage":73`) {
			t.Errorf("the newest status is not sent: %s", last)
		}
	})
}

// TestFailuresReachNobody: whatever fails is logged once, nothing waits, and nothing is returned.
func TestFailuresReachNobody(t *testing.T) {
	s := newServer(t)
	gone := s.options
	gone.Token += "x"
	untrusted := s.options
	untrusted.CACert = ""
	for name, o := range map[string]Options{"refused": s.options, "no token": gone, "another CA": untrusted, "nobody there": {URL: "https://127.0.0.1:1/", CACert: s.options.CACert, Token: s.options.Token}} {
		s.mu.Lock()
		s.answer = http.StatusForbidden
		s.mu.Unlock()
		var log bytes.Buffer
		r := New(o, slog.New(slog.NewTextHandler(&log, nil)))
		r.Done(Status{})
		r.Done(Status{})
		if n := strings.Count(log.String(), "level=WARN"); n != 1 || name == "refused" && !strings.Contains(log.String(), "403 Forbidden: Forbidden") {
			t.Errorf("%s: %d warnings\n%s", name, n, &log)
		}
		if name == "refused" {
			s.mu.Lock()
			s.answer = http.StatusOK
			s.mu.Unlock()
			if r.Done(Status{}); !strings.Contains(log.String(), "again") {
				t.Errorf("that it works again is not logged\n%s", &log)
			}
		}
	}
	synctest.Test(t, func(t *testing.T) { // a server that takes all its time
		r := New(Options{URL: "https://trainer"}, slog.New(slog.DiscardHandler))
		r.post = func(ctx context.Context, _ []byte) error { <-ctx.Done(); return ctx.Err() }
		begin := time.Now()
		for range 100 {
			r.Report(Status{})
		}
		if waited := time.Since(begin); waited > 0 {
			t.Errorf("reports waited for %s", waited)
		}
		time.Sleep(time.Minute)
	})
	var none *Reporter
	none.Report(Status{})
	none.Done(Status{})
	if New(Options{}, nil) != nil {
		t.Error("there is a reporter without a URL")
	}
}

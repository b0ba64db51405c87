// Package trainer tells Kubeflow Trainer how far a run is, so that its TrainJob shows the progress,
// the seconds that are left and the newest metrics (Trainer's KEP-2779). It knows nothing of a run,
// and nothing that goes wrong here reaches one.
//
//	status.go   what Trainer is told of a run
//	trainer.go  Reporter, which posts it
package trainer

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Options say where Trainer's status server is: its URL for this TrainJob, and the files of its CA
// and of the pod's token. Both files change while the pod runs.
type Options struct{ URL, CACert, Token string }

// Status is what Trainer is told. Metrics whose name or value is empty are left out.
type Status struct {
	Percent   int           // 0 to 100
	Remaining time.Duration // until the run is done
	Metrics   []Metric
}

// Metric is a number by name, written as Trainer shows it.
type Metric struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

const (
	interval = 5 * time.Second // between two posts: Trainer's guide asks for no more
	timeout  = 5 * time.Second // of one post
)

// Reporter sends the newest Status, never two within interval. A nil Reporter does nothing.
type Reporter struct {
	options  Options
	log      *slog.Logger
	interval time.Duration
	post     func(context.Context, []byte) error

	mu      sync.Mutex // guards what follows
	newest  *Status    // to be sent; nil: all is sent
	last    time.Time  // when the last post began
	sending bool       // send is running
	failed  bool       // the last post failed
}

// New returns a Reporter, or nil where no URL is given.
func New(o Options, log *slog.Logger) *Reporter {
	if o.URL == "" {
		return nil
	}
	r := &Reporter{options: o, log: log, interval: interval}
	r.post = r.postOnce
	return r
}

// Report sends a status in the background. One that is not sent yet when the next comes is dropped.
func (r *Reporter) Report(s Status) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newest = &s
	if !r.sending {
		r.sending = true
		go r.send()
	}
}

// send sends what is newest until there is nothing.
func (r *Reporter) send() {
	for {
		r.mu.Lock()
		wait := r.interval - time.Since(r.last)
		if r.newest == nil {
			r.sending = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		if wait > 0 {
			time.Sleep(wait)
		}
		r.sendNewest()
	}
}

// sendNewest takes the newest status and posts it.
func (r *Reporter) sendNewest() {
	r.mu.Lock()
	s := r.newest
	r.newest, r.last = nil, time.Now()
	r.mu.Unlock()
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	text, err := s.encode(time.Now())
	if err == nil {
		err = r.post(ctx, text)
	}
	r.mu.Lock()
	before := r.failed
	r.failed = err != nil
	r.mu.Unlock()
	if err != nil && !before { // once, not every few seconds
		r.log.Warn("Kubeflow Trainer cannot be told of the progress; the run goes on", "error", err)
	} else if err == nil && before {
		r.log.Info("Kubeflow Trainer is told of the progress again")
	}
}

// Done sends the last status of a run and waits for it, for as long as a post may take. It does not
// wait for the interval: nothing follows.
func (r *Reporter) Done(s Status) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.newest = &s
	r.mu.Unlock()
	r.sendNewest()
}

// encode writes the body of the post: UpdateTrainJobStatusRequest of trainer.kubeflow.org/v1alpha1.
func (s Status) encode(now time.Time) ([]byte, error) {
	var body struct {
		TrainerStatus struct {
			ProgressPercentage        int32     `json:"progressPercentage"`
			EstimatedRemainingSeconds int32     `json:"estimatedRemainingSeconds"`
			Metrics                   []Metric  `json:"metrics,omitempty"`
			LastUpdatedTime           time.Time `json:"lastUpdatedTime"`
		} `json:"trainerStatus"`
	}
	t := &body.TrainerStatus
	t.ProgressPercentage = int32(min(max(s.Percent, 0), 100))
	t.EstimatedRemainingSeconds = int32(min(max(s.Remaining.Seconds(), 0), 1<<31-1))
	t.LastUpdatedTime = now.UTC().Truncate(time.Second)
	for _, m := range s.Metrics {
		if m.Name != "" && m.Value != "" {
			t.Metrics = append(t.Metrics, m)
		}
	}
	return json.Marshal(body)
}

// postOnce posts with the CA and the token as they are now.
func (r *Reporter) postOnce(ctx context.Context, body []byte) error {
	token, err := os.ReadFile(r.options.Token)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true, Proxy: nil}
	if r.options.CACert != "" {
		ca, err := os.ReadFile(r.options.CACert)
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(ca) {
			return fmt.Errorf("%s holds no certificate", r.options.CACert)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.options.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("a redirection, which the token must not follow")
	}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096)) // it is read for the message alone
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	var why struct{ Message string }
	_ = json.Unmarshal(text, &why)
	return fmt.Errorf("%s: %s", answer.Status, cmp.Or(why.Message, string(text)))
}

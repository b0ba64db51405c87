package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cijepa/cijepa/storage/storagetest"
)

// The bucket of TestSavingCostsLittle takes this many bytes a second, over all connections.
const narrowBucket = 20e6

// heavyRun has a state of 200 MB: wide and shallow, with predictors that are small beside the encoder.
var heavyRun = []string{
	"CIJEPA_WIDTH=256", "CIJEPA_DEPTH=8", "CIJEPA_HEADS=4", "CIJEPA_DEPTHS=0-7", "CIJEPA_PREDICTOR_WIDTH=128", "CIJEPA_PREDICTOR_DEPTH=4", "CIJEPA_PREDICTOR_HEADS=2",
	"CIJEPA_BATCH=8", "CIJEPA_EPOCHS=1000", "CIJEPA_KEEP_EVERY=1000", "CIJEPA_EVAL_EVERY=0", "CIJEPA_LOG_EVERY=1", "CIJEPA_SAVE_EVERY=20s", "CIJEPA_STOP_DEADLINE=0s", "CIJEPA_BACKEND=go:parallelism=64",
}

// TestSavingCostsLittle times the steps of a real run on a real S3 server behind a line of 20 MB/s: those in which a copy of
// the state is taken, those beside an upload, and the others. It wants a quiet machine, and CIJEPA_TEST_SAVING with the
// number of checkpoints to look at.
func TestSavingCostsLittle(t *testing.T) {
	var saves int
	if v := os.Getenv("CIJEPA_TEST_SAVING"); v == "" {
		t.Skip("only with CIJEPA_TEST_SAVING, the number of checkpoints")
	} else if err := json.Unmarshal([]byte(v), &saves); err != nil || saves < 3 {
		t.Fatalf("CIJEPA_TEST_SAVING=%s: the number of checkpoints, 3 or more", v)
	}
	server := storagetest.Start(t, storagetest.S3, "")
	bucket := server.URLThrough(narrow(t, server.Address, narrowBucket))
	packTiny(t, server.URL())
	c, log := start(t, bucket, append(slices.Clone(heavyRun), "PATH="+os.Getenv("PATH"), "AWS_ACCESS_KEY_ID="+os.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY="+os.Getenv("AWS_SECRET_ACCESS_KEY"))...)
	for strings.Count(log.String(), `"msg":"saved"`) < saves && !strings.Contains(log.String(), `"msg":"ended"`) {
		time.Sleep(time.Second)
	}
	_ = c.Process.Signal(syscall.SIGTERM)
	wait(t, c)

	type line struct {
		Time    time.Time
		Msg     string
		Step    int64
		Bytes   float64
		Seconds float64
	}
	var steps, saved, epochs []line
	for text := range strings.Lines(log.String()) {
		var l line
		if json.Unmarshal([]byte(text), &l) != nil {
			continue
		}
		switch l.Msg {
		case "step":
			steps = append(steps, l)
		case "saved":
			saved = append(saved, l)
		case "epoch":
			epochs = append(epochs, l)
		}
	}
	if len(saved) < saves {
		t.Fatalf("%d checkpoints\n%s", len(saved), log)
	}
	for _, l := range saved {
		t.Logf("saved step %d: %.0f MB in %.1f s, %.1f MB/s", l.Step, l.Bytes/1e6, l.Seconds, l.Bytes/1e6/l.Seconds)
	}
	var copies, beside, alone []float64 // seconds of a step
	for i := 3; i < len(steps); i++ {   // the first ones warm up
		from, to := steps[i-1], steps[i]
		if slices.ContainsFunc(epochs, func(l line) bool { return l.Step == from.Step }) {
			continue // it measured the teacher's health too
		}
		lap := to.Time.Sub(from.Time).Seconds()
		whole, touched := false, false
		for _, l := range saved {
			k := slices.IndexFunc(steps, func(s line) bool { return s.Step == l.Step })
			begin := steps[k].Time
			end := begin.Add(time.Duration(l.Seconds * float64(time.Second)))
			switch {
			case l.Step == from.Step:
				copies = append(copies, lap)
				touched = true
			case from.Time.Before(end) && to.Time.After(begin):
				touched = true
				whole = whole || !from.Time.Before(begin) && !to.Time.After(end)
			}
		}
		switch {
		case whole:
			beside = append(beside, lap)
		case !touched:
			alone = append(alone, lap)
		}
	}
	base := median(alone)
	t.Logf("steps: %d alone, median %.3f s (%.3f to %.3f); %d with a copy, %.3f s (%+.1f %%); %d beside an upload, %.3f s (%+.1f %%)",
		len(alone), base, slices.Min(alone), slices.Max(alone), len(copies), median(copies), 100*(median(copies)/base-1), len(beside), median(beside), 100*(median(beside)/base-1))
	if median(copies) > 1.15*base {
		t.Errorf("a step that takes a copy is more than 15 %% slower")
	}
	if median(beside) > 1.15*base {
		t.Errorf("a step beside an upload is more than 15 %% slower")
	}
}

// TestStopBesideAnUpload: a stop that finds an upload on a line too thin for its deadline ends the process at the deadline
// all the same, and the run goes on from the checkpoint before.
func TestStopBesideAnUpload(t *testing.T) {
	slow(t)
	want := finish(t, newBucket(t))
	server := storagetest.Start(t, storagetest.S3, "")
	packTiny(t, server.URL())
	keys := []string{"AWS_ACCESS_KEY_ID=" + os.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY=" + os.Getenv("AWS_SECRET_ACCESS_KEY")}
	const deadline, thin = 2 * time.Second, 30e3 // bytes a second, of a state of 370 kB
	c, log := start(t, server.URLThrough(narrow(t, server.Address, thin)), append(keys, "CIJEPA_DATA_BUCKET="+server.URL(), "CIJEPA_STOP_DEADLINE="+deadline.String())...)
	waitFor(t, log, `"step":10,`)
	begin := time.Now()
	_ = c.Process.Signal(syscall.SIGTERM)
	code := wait(t, c)
	if took := time.Since(begin); code != 143 || took < deadline || took > deadline+8*time.Second || !strings.Contains(log.String(), `"saved":0,`) {
		t.Errorf("exit %d after %v\n%s", code, took, log)
	}
	c, log = start(t, server.URL(), keys...)
	if code := wait(t, c); code != 0 {
		t.Fatalf("exit %d\n%s", code, log)
	}
	if d := cmp.Diff(want.Metrics, result(t, server.URL()).Metrics); d != "" {
		t.Errorf("the run ended otherwise:\n%s", d)
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// narrow is a line to a server that carries a number of bytes a second up, and as many down, over all its connections:
// toxiproxy's limit holds for each of them, and uploads use several.
func narrow(t *testing.T, address string, rate float64) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	up, down := &pacer{rate: rate}, &pacer{rate: rate}
	go func() { // ends with the listener
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				client.Close()
				continue
			}
			carry := func(to, from net.Conn, p *pacer) {
				_, _ = io.CopyBuffer(struct{ io.Writer }{to}, paced{from, p}, make([]byte, 64<<10)) // a cut line ends it
				to.Close()
				from.Close()
			}
			go carry(server, client, up)
			go carry(client, server, down)
		}
	}()
	return listener.Addr().String()
}

// pacer lets bytes pass at a rate.
type pacer struct {
	rate float64 // bytes a second
	mu   sync.Mutex
	free time.Time // guarded by mu: when the line has carried what it has
}

func (p *pacer) pass(n int) {
	p.mu.Lock()
	if now := time.Now(); p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	wait := time.Until(p.free)
	p.mu.Unlock()
	time.Sleep(wait)
}

// paced is one end of the line.
type paced struct {
	io.Reader
	pacer *pacer
}

func (r paced) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.pacer.pass(n)
	return n, err
}

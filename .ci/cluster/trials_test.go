package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
)

// demo is a submission of the demonstration's preset at tiny sizes, on machines and in a bucket of
// its own.
func demo(name string, settings ...string) submission {
	return submission{name: name, bucket: name, pool: name, overlays: []string{"namespace", "gke-spot"}, settings: append([]string{"CIJEPA_PRESET=demo", "CIJEPA_EPOCHS=4"}, settings...)}
}

// once lets a Job have one pod that fails by itself, and no other: what must not count against its
// limit shows.
var once = []string{"- {op: replace, path: /spec/backoffLimit, value: 0}"}

func TestTrials(t *testing.T) {
	s := trials
	t.Run("a Job completes", func(t *testing.T) {
		n := newNode(t, s, "alone", "alone", 1)
		began := time.Now()
		ports, err := freePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		address := fmt.Sprintf("127.0.0.1:%d", ports[0])
		s.submit(t, demo("alone", "CIJEPA_LISTEN="+address))
		s.begun(t, "alone", 1)
		if answer, err := http.Get("http://" + address + "/healthz"); err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("the run does not answer: %v, %v", answer, err)
		}
		n.probe(t, "alone")
		j := s.until(t, "alone", batch.JobComplete)
		if got := s.awaited(t, "alone"); got != "Complete" {
			t.Errorf("the runbook's wait ends with %q", got)
		}
		f, attempts := s.figures(t, "alone", "demo-s0")
		if attempts != 1 {
			t.Errorf("%d attempts", attempts)
		}
		t.Logf("%s after %.1f s; result.json is there: top-1 %v, untrained %v, %v updates, state %.12s; exit codes %v", condition(j, batch.JobComplete), time.Since(began).Seconds(),
			f["top1"], f["untrained_top1"], f["updates"], f["state_sha256"], exits("alone", n))
	})
	if t.Failed() {
		return // nothing to compare with
	}

	t.Run("disturbed", func(t *testing.T) {
		t.Run("pod deleted", func(t *testing.T) {
			t.Parallel()
			n := newNode(t, s, "deleted", "deleted", 1)
			taken, err := net.Listen("tcp", "127.0.0.1:0") // by a sidecar, say
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			go func() {
				_ = http.Serve(taken, http.NotFoundHandler())
			}()
			u := demo("deleted", "CIJEPA_LISTEN="+taken.Addr().String())
			u.patch = once
			s.submit(t, u)
			s.begun(t, "deleted", 2)
			n.probe(t, "deleted")
			first := s.pods(t, "deleted")[0].Name
			s.plane.must(t, "delete", "pod", first)
			j := s.until(t, "deleted", batch.JobComplete)
			codes := exits("deleted", n)
			if codes[first] != 143 || len(codes) != 2 || j.Status.Failed != 0 {
				t.Errorf("exit codes %v, %d failures counted", codes, j.Status.Failed)
			}
			t.Logf("exit codes %v, failures counted %d of backoffLimit 0", codes, j.Status.Failed)
			s.sameAsAlone(t, "deleted")
		})

		t.Run("node drained", func(t *testing.T) {
			t.Parallel()
			a, b := newNode(t, s, "drained-a", "drained", 1), newNode(t, s, "drained-b", "drained", 1)
			u := demo("drained")
			u.patch = once
			s.submit(t, u)
			s.begun(t, "drained", 2)
			first := s.pods(t, "drained")[0]
			s.plane.must(t, "drain", first.Spec.NodeName, "--ignore-daemonsets", "--delete-emptydir-data", "--force")
			j := s.until(t, "drained", batch.JobComplete)
			codes := exits("drained", a, b)
			if codes[first.Name] != 143 || len(codes) != 2 || j.Status.Failed != 0 {
				t.Errorf("exit codes %v, %d failures counted", codes, j.Status.Failed)
			}
			second := s.pods(t, "drained")[0]
			t.Logf("drained %s, went on on %s; exit codes %v, failures counted %d of backoffLimit 0", first.Spec.NodeName, second.Spec.NodeName, codes, j.Status.Failed)
			s.sameAsAlone(t, "drained")
		})

		t.Run("spot machine reclaimed", func(t *testing.T) {
			t.Parallel()
			nodes := map[string]*node{"reclaimed-a": newNode(t, s, "reclaimed-a", "reclaimed", 1), "reclaimed-b": newNode(t, s, "reclaimed-b", "reclaimed", 1)}
			u := demo("reclaimed")
			u.patch = once
			s.submit(t, u)
			s.begun(t, "reclaimed", 2)
			first := s.pods(t, "reclaimed")[0]
			machine := nodes[first.Spec.NodeName]
			machine.shutDown(15 * time.Second)
			why := ""
			for _, c := range s.pods(t, "reclaimed")[0].Status.Conditions {
				if c.Type == core.DisruptionTarget {
					why = c.Reason
				}
			}
			machine.remove()
			j := s.until(t, "reclaimed", batch.JobComplete)
			codes := exits("reclaimed", nodes["reclaimed-a"], nodes["reclaimed-b"])
			if codes[first.Name] != 143 || len(codes) != 2 || j.Status.Failed != 0 {
				t.Errorf("exit codes %v, %d failures counted", codes, j.Status.Failed)
			}
			t.Logf("DisruptionTarget %s; exit codes %v, failures counted %d of backoffLimit 0", why, codes, j.Status.Failed)
			s.sameAsAlone(t, "reclaimed")
		})

		t.Run("spot machine gone without a word", func(t *testing.T) {
			t.Parallel()
			nodes := map[string]*node{"gone-a": newNode(t, s, "gone-a", "gone", 1), "gone-b": newNode(t, s, "gone-b", "gone", 1)}
			u := demo("gone")
			u.patch = once
			s.submit(t, u)
			s.begun(t, "gone", 2)
			first, began := s.pods(t, "gone")[0], time.Now()
			nodes[first.Spec.NodeName].vanish()
			j := s.until(t, "gone", batch.JobComplete)
			codes := exits("gone", nodes["gone-a"], nodes["gone-b"])
			if codes[first.Name] != 137 || len(codes) != 2 || j.Status.Failed != 0 {
				t.Errorf("exit codes %v, %d failures counted", codes, j.Status.Failed)
			}
			second := s.pods(t, "gone")[0]
			t.Logf("the second pod began %.0f s after; exit codes %v, failures counted %d of backoffLimit 0", second.Status.StartTime.Sub(began).Seconds(), codes, j.Status.Failed)
			s.sameAsAlone(t, "gone")
		})

		// What Kueue does to a Job, done by hand; kueue_test.go has Kueue itself.
		t.Run("suspended and resumed", func(t *testing.T) {
			t.Parallel()
			n := newNode(t, s, "suspended", "suspended", 1)
			u := demo("suspended")
			u.patch, u.overlays = once, append(u.overlays, "kueue")
			s.submit(t, u)
			s.begun(t, "suspended", 2)
			s.plane.must(t, "patch", "job", "suspended", "-p", `{"spec":{"suspend":true}}`)
			s.until(t, "suspended", batch.JobSuspended)
			for len(exits("suspended", n)) == 0 {
				time.Sleep(50 * time.Millisecond)
			}
			stopped := len(s.manifests("suspended"))
			s.plane.must(t, "patch", "job", "suspended", "-p", `{"spec":{"suspend":false}}`)
			for len(s.pods(t, "suspended")) == 0 {
				time.Sleep(50 * time.Millisecond)
			}
			// The same manifests leave the running Job alone.
			s.plane.must(t, "apply", "-k", s.folder(t, u))
			j := s.until(t, "suspended", batch.JobComplete)
			codes := exits("suspended", n)
			if len(codes) != 2 {
				t.Errorf("exit codes %v: the second apply has stopped the Job", codes)
			}
			t.Logf("stopped with %d checkpoints; exit codes %v, failures counted %d of backoffLimit 0", stopped, codes, j.Status.Failed)
			s.sameAsAlone(t, "suspended")
		})

		t.Run("a GPU that fails at once", func(t *testing.T) {
			t.Parallel()
			broken := newNode(t, s, "badgpu-a", "badgpu", 1)
			broken.mu.Lock()
			broken.broken = true
			broken.mu.Unlock()
			s.submit(t, demo("badgpu"))
			for end := time.Now().Add(patience); len(exits("badgpu", broken)) < 3 && time.Now().Before(end); {
				time.Sleep(100 * time.Millisecond)
			}
			healthy := newNode(t, s, "badgpu-b", "badgpu", 1)
			s.plane.must(t, "cordon", "badgpu-a") // the runbook's row
			j := s.until(t, "badgpu", batch.JobComplete)
			if got := exits("badgpu", broken); len(got) < 3 || int(j.Status.Failed) != len(got) || *j.Spec.BackoffLimit != 12 {
				t.Errorf("exit codes %v, %d failures counted of %d", got, j.Status.Failed, *j.Spec.BackoffLimit)
			}
			if got, want := s.metrics(t, "badgpu"), s.metrics(t, "alone"); !reflect.DeepEqual(got, want) {
				t.Errorf("it differs from the run that was left alone:\n%v\n%v", got, want)
			}
			t.Logf("on the broken machine %v, then on the other %v; %d failures counted of %d", exits("badgpu", broken), exits("badgpu", healthy), j.Status.Failed, *j.Spec.BackoffLimit)
		})

		t.Run("evicted for storage", func(t *testing.T) {
			t.Parallel()
			n := newNode(t, s, "evicted", "evicted", 1)
			s.submit(t, demo("evicted"))
			// The kubelet gives a second, and kills a program that needs longer.
			for i, grace := range []time.Duration{time.Second, 0} {
				s.begun(t, "evicted", 2*i+2)
				var running *core.Pod
				for running == nil {
					for _, p := range s.pods(t, "evicted") {
						if p.Status.Phase == core.PodRunning {
							running = &p
						}
					}
					time.Sleep(20 * time.Millisecond)
				}
				n.evict(running, grace)
			}
			j := s.until(t, "evicted", batch.JobComplete)
			codes := exits("evicted", n)
			counted := 0
			for _, c := range codes {
				if c == 137 {
					counted++
				}
			}
			if len(codes) != 3 || counted == 0 || int(j.Status.Failed) != counted {
				t.Errorf("exit codes %v, %d failures counted", codes, j.Status.Failed)
			}
			t.Logf("exit codes %v: %d failures counted, those of pods that were killed; one that was out within a second is ignored", codes, j.Status.Failed)
			s.sameAsAlone(t, "evicted")
		})

		t.Run("a setting that can never work", func(t *testing.T) {
			t.Parallel()
			n := newNode(t, s, "settings", "settings", 1)
			began := time.Now()
			s.submit(t, demo("settings", "CIJEPA_EPOCH=3"))
			j := s.until(t, "settings", batch.JobFailed)
			if got := s.awaited(t, "settings"); got != "Failed" {
				t.Errorf("the runbook's wait ends with %q", got)
			}
			why, codes := condition(j, batch.JobFailed), exits("settings", n)
			if !strings.HasPrefix(why, "PodFailurePolicy: ") || !strings.Contains(why, "exit code 64") || len(codes) != 1 {
				t.Errorf("%s; exit codes %v", why, codes)
			}
			t.Logf("after %.1f s and one pod (%v): %s\n%s", time.Since(began).Seconds(), codes, why, s.plane.must(t, "logs", "job/settings"))
		})

		t.Run("storage out of reach", func(t *testing.T) {
			t.Parallel()
			n := newNode(t, s, "unreachable", "unreachable", 1)
			u := demo("unreachable", "CIJEPA_RETRY_TIMEOUT=1s", "CIJEPA_BUCKET=s3://nowhere?endpoint=http://127.0.0.1:1&use_path_style=true&region=us-east-1")
			u.patch = []string{"- {op: replace, path: /spec/backoffLimit, value: 1}"}
			s.submit(t, u)
			j := s.until(t, "unreachable", batch.JobFailed)
			why, codes := condition(j, batch.JobFailed), exits("unreachable", n)
			var values []int
			for _, c := range codes {
				values = append(values, c)
			}
			if !strings.HasPrefix(why, "BackoffLimitExceeded: ") || !slices.Equal(values, []int{74, 74}) {
				t.Errorf("%s; exit codes %v", why, codes)
			}
			t.Logf("%s; exit codes %v", why, codes)
		})

		t.Run("storage gone for a while, in place", func(t *testing.T) {
			t.Parallel()
			n := newNode(t, s, "inplace", "inplace", 1)
			gate := newGate(t, s.server)
			reach := func(bucket string) string { return strings.ReplaceAll(s.url(bucket), s.server, gate.address) }
			u := demo("inplace", "CIJEPA_RETRY_TIMEOUT=2s", "CIJEPA_BUCKET="+reach("inplace"), "CIJEPA_DATA_BUCKET="+reach(dataBucket), "CIJEPA_CACHE_DIR=/cache")
			u.overlays, u.patch = append(u.overlays, "in-place"), once
			s.submit(t, u)
			s.begun(t, "inplace", 2)
			pod := s.pods(t, "inplace")[0]
			n.mu.Lock()
			p := n.pods[pod.UID]
			n.mu.Unlock()
			cached := cachedShards(p)
			restarts := func() []int {
				n.mu.Lock()
				defer n.mu.Unlock()
				return slices.Clone(p.restarts)
			}
			gate.open.Store(false)
			for end := time.Now().Add(patience); len(restarts()) == 0 && time.Now().Before(end); {
				time.Sleep(20 * time.Millisecond)
			}
			gate.open.Store(true)
			j := s.until(t, "inplace", batch.JobComplete)
			codes := restarts()
			if len(codes) == 0 || slices.ContainsFunc(codes, func(c int) bool { return c != 74 }) || len(exits("inplace", n)) != 1 || j.Status.Failed != 0 {
				t.Errorf("restarts after %v, pods %v, %d failures counted", codes, exits("inplace", n), j.Status.Failed)
			}
			if after := cachedShards(p); len(cached) == 0 || !reflect.DeepEqual(after, cached) {
				t.Errorf("shards in the cache before %v, after %v", cached, after)
			}
			t.Logf("one pod began again after %v, with the same %d shards in its cache", codes, len(cached))
			s.sameAsAlone(t, "inplace")
		})

		t.Run("three lines, one fails alone", func(t *testing.T) {
			t.Parallel()
			n := newNode(t, s, "sweep", "sweep", 3)
			// The second line's run is there already, and damaged: exit code 65. To the
			// server a file with an etag is an object.
			damaged := filepath.Join(s.buckets, "sweep", "runs", "L300-s0", "run.json")
			err := os.MkdirAll(filepath.Dir(damaged), 0o755)
			if err == nil {
				err = os.WriteFile(damaged, []byte("{"), 0o644)
			}
			if err == nil {
				err = syscall.Setxattr(damaged, "user.etag", []byte(`"0"`), 0)
			}
			if err != nil {
				t.Fatal(err)
			}
			u := demo("sweep", "CIJEPA_EPOCHS=1")
			u.overlays, u.patch = append(u.overlays, "sweep"), []string{"- {op: replace, path: /spec/completions, value: 3}"}
			s.submit(t, u)
			j := s.until(t, "sweep", batch.JobFailed)
			why := condition(j, batch.JobFailed)
			failed := ""
			if j.Status.FailedIndexes != nil {
				failed = *j.Status.FailedIndexes
			}
			if j.Status.CompletedIndexes != "0,2" || failed != "1" || !strings.HasPrefix(why, "FailedIndexes: ") {
				t.Errorf("completed %q, failed %q, %s", j.Status.CompletedIndexes, failed, why)
			}
			for _, run := range []string{"L200-s0", "R-U-s0"} {
				f, _ := s.figures(t, "sweep", run)
				t.Logf("%s: %v updates, state %.12s", run, f["updates"], f["state_sha256"])
			}
			t.Logf("completed %s, failed %s: %s; exit codes %v", j.Status.CompletedIndexes, failed, why, exits("sweep", n))
		})

		t.Run("two Jobs of one sweep line", func(t *testing.T) {
			t.Parallel()
			n := newNode(t, s, "pair", "pair", 2)
			pair := []string{"pair-a", "pair-b"}
			for _, name := range pair {
				u := demo("pair", "CIJEPA_EPOCHS=3")
				u.name, u.overlays = name, append(u.overlays, "sweep")
				u.patch = []string{"- {op: replace, path: /spec/completions, value: 1}"}
				s.submit(t, u)
			}
			overtaken := 0
			for _, name := range pair {
				s.until(t, name, batch.JobComplete)
				for _, c := range exits(name, n) {
					if c == 76 {
						overtaken++
					}
				}
			}
			if overtaken == 0 {
				t.Error("neither was overtaken, so they did not run at once")
			}
			manifests := s.manifestsOf("pair", "L200-s0")
			t.Logf("overtaken %d times; %d checkpoints in one unbroken chain, by %v", overtaken, len(manifests), chain(t, manifests))
			s.figures(t, "pair", "L200-s0")
		})

		t.Run("two pods of one run", func(t *testing.T) {
			t.Parallel()
			n := newNode(t, s, "twins", "twins", 2)
			twins := []string{"twin-a", "twin-b"}
			for _, name := range twins {
				u := demo("twins")
				u.name = name
				s.submit(t, u)
			}
			overtaken := 0
			for _, name := range twins {
				s.until(t, name, batch.JobComplete)
				codes := exits(name, n)
				t.Logf("%s: exit codes %v", name, codes)
				for _, c := range codes {
					if c == 76 {
						overtaken++
					}
				}
			}
			if overtaken == 0 {
				t.Error("neither was overtaken, so they did not run at once")
			}
			writers := chain(t, s.manifests("twins"))
			t.Logf("%d checkpoints in one unbroken chain, by %v", len(s.manifests("twins")), writers)
			s.sameAsAlone(t, "twins")
		})
	})
}

// chain checks that each manifest names the one before it, and that no writer came back once
// another had written. It gives the writers.
func chain(t *testing.T, manifests []string) (writers []string) {
	t.Helper()
	previous := ""
	for i, name := range manifests {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			Manifest struct {
				Sequence          int
				Previous, Attempt string
			}
		}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		if m.Manifest.Sequence != i+1 || m.Manifest.Previous != previous {
			t.Errorf("%s: number %d after %q, want %d after %q", name, m.Manifest.Sequence, m.Manifest.Previous, i+1, previous)
		}
		sum := sha256.Sum256(text)
		previous = hex.EncodeToString(sum[:])
		if n := len(writers); n == 0 || writers[n-1] != m.Manifest.Attempt {
			if slices.Contains(writers, m.Manifest.Attempt) {
				t.Errorf("%s wrote again after it had been overtaken", m.Manifest.Attempt)
			}
			writers = append(writers, m.Manifest.Attempt)
		}
	}
	return writers
}

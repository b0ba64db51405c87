package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// life is a whole run as one process does it: it restores what there is, commits up to the last
// step and writes the result.
func life(ctx context.Context, t *testing.T, b *storage.Bucket) error {
	const lastStep = 6
	r := OpenRun(b, "test", "pod", nil)
	if _, err := r.Result(ctx); !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	record := []byte(`{"recipe":1}`)
	if _, err := r.Record(ctx); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	switch stored, err := r.Begin(ctx, record); {
	case err != nil:
		return err
	case !bytes.Equal(stored, record):
		return fmt.Errorf("the record is %q", stored)
	}
	p, err := r.Restore(ctx, readParts(t))
	if err != nil {
		return err
	}
	for step := p.Step + 1; step <= lastStep; step++ {
		if err := r.Append(ctx, "steps.jsonl", fmt.Appendf(nil, `{"step":%d}`, step)); err != nil {
			return err
		}
		if _, err := r.Commit(ctx, "pretrain", step, step == 1, testParts(step)); err != nil {
			return err
		}
		if step == 3 { // the process is restarted
			r = OpenRun(b, "test", "pod", nil)
			if p, err := r.Restore(ctx, readParts(t)); err != nil || p.Step != step {
				return fmt.Errorf("restored %+v after the commit of step %d: %w", p, step, err)
			}
		}
	}
	if _, err := r.Put(ctx, "teacher.safetensors", -1, testParts(lastStep)[0].Write); err != nil {
		return err
	}
	return r.Finish(ctx, []byte(`{"top1":92}`))
}

// checkWhole restores a finished run from the healthy store and compares everything with what a run
// without faults leaves.
func checkWhole(t *testing.T, store *storagetest.Store) {
	t.Helper()
	store.Plan(nil)
	b := store.Open(storage.Options{})
	r, p := mustRestore(t, b, "auditor")
	if p.Step != 6 || r.Fallbacks() != 0 {
		t.Errorf("the finished run restores to %+v after %d fallbacks", p, r.Fallbacks())
	}
	for _, x := range r.chain.retained {
		if _, err := r.loadCheckpoint(t.Context(), x, readParts(t)); err != nil {
			t.Errorf("retained checkpoint %d: %v", x.Sequence, err)
		}
	}
	var teacher bytes.Buffer
	testParts(6)[0].Write(&teacher)
	for name, want := range map[string]string{"run.json": `{"recipe":1}`, "result.json": `{"top1":92}`, "teacher.safetensors": teacher.String()} {
		if got := string(store.Objects()["runs/test/"+name]); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// countCalls returns the number of calls of a life without faults.
func countCalls(t *testing.T) (calls int) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{})
		if err := life(t.Context(), t, b); err != nil {
			t.Fatal(err)
		}
		calls = store.Calls()
		checkWhole(t, store)
	})
	return calls
}

// One fault in any call of a run changes nothing.
func TestRunSurvivesOneFaultInAnyCall(t *testing.T) {
	calls := countCalls(t)
	for _, fault := range storagetest.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			hits := 0
			for n := 1; n <= calls; n++ {
				synctest.Test(t, func(t *testing.T) {
					store := storagetest.NewStore(t)
					b := store.Open(storage.Options{})
					store.Plan(func(c storagetest.Call) storagetest.Fault {
						if c.N == n && fault.Applies(c) {
							hits++
							return fault
						}
						return storagetest.None
					})
					if err := life(t.Context(), t, b); err != nil {
						t.Errorf("call %d: %v", n, err)
					}
					checkWhole(t, store)
				})
			}
			if hits == 0 {
				t.Error("no call had this fault")
			}
			t.Logf("%d of %d calls had it", hits, calls)
		})
	}
}

// The store fails for good at any call, once before and once after the call takes effect. When it
// is back, another process resumes the run.
func TestRunResumesAfterAnOutageAtAnyCall(t *testing.T) {
	calls := countCalls(t)
	for _, fault := range []storagetest.Fault{storagetest.Refused, storagetest.Unanswered,
		storagetest.UnansweredTwice, storagetest.Torn, storagetest.CutQuietly, storagetest.Denied,
		storagetest.DeniedAsMissing, storagetest.Silent} {
		t.Run(string(fault), func(t *testing.T) {
			ended := make(map[string]int)
			for n := 1; n <= calls; n++ {
				synctest.Test(t, func(t *testing.T) {
					store := storagetest.NewStore(t)
					b := store.Open(storage.Options{})
					store.Plan(func(c storagetest.Call) storagetest.Fault {
						switch {
						case c.N == n && fault.Applies(c):
							return fault
						case c.N >= n && fault != storagetest.Denied && fault != storagetest.DeniedAsMissing &&
							fault != storagetest.Silent:
							return storagetest.Refused
						case c.N >= n:
							return fault
						}
						return storagetest.None
					})
					err := life(t.Context(), t, b)
					switch {
					case errors.Is(err, storage.ErrUnreachable):
						ended["unreachable"]++
					case errors.Is(err, storage.ErrDenied):
						ended["denied"]++
					default:
						t.Errorf("call %d: %v", n, err)
					}
					store.Plan(nil)
					if err := life(t.Context(), t, b); err != nil {
						t.Errorf("call %d, second life: %v", n, err)
					}
					checkWhole(t, store)
				})
			}
			t.Log(ended)
		})
	}
}

// A process that dies at any call leaves a bucket from which the next one resumes. A cancelled
// context stands for the death.
func TestRunResumesAfterAKillAtAnyCall(t *testing.T) {
	for n := 1; n <= countCalls(t); n++ {
		synctest.Test(t, func(t *testing.T) {
			store := storagetest.NewStore(t)
			b := store.Open(storage.Options{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			store.Plan(func(c storagetest.Call) storagetest.Fault {
				if c.N == n {
					cancel()
				}
				return storagetest.None
			})
			if err := life(ctx, t, b); err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("call %d: %v", n, err)
			}
			if err := life(t.Context(), t, b); err != nil {
				t.Errorf("call %d, second life: %v", n, err)
			}
			checkWhole(t, store)
		})
	}
}

// With 20 % of all calls failing, in every way, a run ends with the same bytes as without.
func TestRunSurvivesEveryFifthCallFailing(t *testing.T) {
	failed := 0
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			store := storagetest.NewStore(t)
			b := store.Open(storage.Options{})
			random := rand.New(rand.NewPCG(seed, 0))
			// Refusals this frequent end an operation, and flips this frequent spoil two reads in a
			// row: both have tests of their own.
			faults := slices.DeleteFunc(storagetest.Faults(), func(f storagetest.Fault) bool {
				return f == storagetest.Denied || f == storagetest.DeniedAsMissing || f == storagetest.Flipped
			})
			store.Plan(func(c storagetest.Call) storagetest.Fault {
				if random.IntN(5) > 0 {
					return storagetest.None
				}
				for {
					if f := faults[random.IntN(len(faults))]; f.Applies(c) {
						failed++
						return f
					}
				}
			})
			if err := life(t.Context(), t, b); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			checkWhole(t, store)
		})
	}
	if failed < 200 {
		t.Errorf("only %d calls failed", failed)
	}
}

// A bucket that forbids deletion still takes a run.
func TestRunNeedsNoRightToDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storagetest.Options(t))
		store.Plan(storagetest.Always(storagetest.Denied, storagetest.Delete))
		if err := life(t.Context(), t, b); err != nil {
			t.Error(err)
		}
		checkWhole(t, store)
	})
}

// A run goes through on real servers, also while every fifth request fails.
func TestRunGoesThroughOnServers(t *testing.T) {
	for _, kind := range storagetest.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			b, proxy, server := storagetest.BehindProxy(t, kind, storagetest.Options(t))
			t.Run("healthy", func(t *testing.T) { testLifeOnServer(t, b) })
			if storagetest.Long() > 0 { // the drivers' own retries make this slow
				t.Run("every fifth request fails", func(t *testing.T) { testLifeOnBadServer(t, server, proxy) })
			}
		})
	}
}

func testLifeOnServer(t *testing.T, b *storage.Bucket) {
	if err := life(t.Context(), t, b); err != nil {
		t.Fatal(err)
	}
	r, p := mustRestore(t, b, "auditor")
	if p.Step != 6 || r.Fallbacks() != 0 {
		t.Errorf("restored %+v after %d fallbacks", p, r.Fallbacks())
	}
}

func testLifeOnBadServer(t *testing.T, server *storagetest.Server, proxy *storagetest.Proxy) {
	b := storagetest.Open(t, server.URL()+withPrefix(server.URL(), "bad/"), storagetest.Options(t))
	proxy.Spoil(
		storagetest.Rule{Times: -1, Share: 0.08, Spoil: storagetest.Answer, Status: http.StatusServiceUnavailable},
		storagetest.Rule{Times: -1, Share: 0.08, Spoil: storagetest.Unanswer},
		storagetest.Rule{Times: -1, Share: 0.04, Spoil: storagetest.Truncate, At: 100})
	defer proxy.Spoil()
	if err := life(t.Context(), t, b); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d requests failed", proxy.Hits())
	if proxy.Hits() == 0 {
		t.Error("no request failed")
	}
	proxy.Spoil()
	r, p := mustRestore(t, b, "auditor")
	if p.Step != 6 || r.Fallbacks() != 0 {
		t.Errorf("restored %+v after %d fallbacks", p, r.Fallbacks())
	}
}

// withPrefix returns the parameter that keeps the bucket of a URL below a prefix.
func withPrefix(url, prefix string) string {
	if strings.Contains(url, "?") {
		return "&prefix=" + prefix
	}
	return "?prefix=" + prefix
}

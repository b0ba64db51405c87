package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// life is a whole run on a bucket, as one process lives it: whatever is there is restored, commits go on to the last step, the result is written.
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

// checkWhole restores a finished run from the healthy store and compares everything with what a run without faults leaves.
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

// countCalls is the number of calls of a life without faults.
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

// One fault in any call of a run does not reach the run.
func TestEveryCallFailsOnce(t *testing.T) {
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

// The store goes away for good at any call, once before the call takes effect and once after; then it is back and another process goes on.
func TestEveryCallIsTheLast(t *testing.T) {
	calls := countCalls(t)
	for _, fault := range []storagetest.Fault{storagetest.Refused, storagetest.Unanswered, storagetest.UnansweredTwice, storagetest.Torn, storagetest.CutQuietly, storagetest.Denied, storagetest.DeniedAsMissing, storagetest.Silent} {
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
						case c.N >= n && fault != storagetest.Denied && fault != storagetest.DeniedAsMissing && fault != storagetest.Silent:
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

// A process that dies at any call leaves a bucket that the next one goes on with. Its context ends instead of its memory.
func TestEveryCallIsInterrupted(t *testing.T) {
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

// With 20 % of all calls failing, in every way at once, a run ends with the same bytes as without.
func TestEveryFifthCallFails(t *testing.T) {
	failed := 0
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			store := storagetest.NewStore(t)
			b := store.Open(storage.Options{})
			random := rand.New(rand.NewPCG(seed, 0))
			// Refusals of rights that come this often are believed, and flips this often would spoil two reads in a row: both have tests of their own.
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

// A refusal is told from an absence, also where the driver does not.
func TestDeniedIsNotMissing(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.Denied, storagetest.DeniedAsMissing} {
		synctest.Test(t, func(t *testing.T) {
			store := storagetest.NewStore(t)
			b := store.Open(storage.Options{})
			store.Plan(storagetest.From(1, fault))
			_, get := b.Get(t.Context(), "x")
			_, list := b.List(t.Context(), "x")
			_, put := b.PutBytes(t.Context(), "x", nil)
			for right, err := range map[string]error{"s3:GetObject": get, "s3:ListBucket": list, "s3:PutObject": put, "s3:DeleteObject": b.Delete(t.Context(), "x")} {
				if !errors.Is(err, storage.ErrDenied) || errors.Is(err, storage.ErrNotFound) || !strings.Contains(err.Error(), right) {
					t.Errorf("%s: the right %s is not asked for: %v", fault, right, err)
				}
			}
			r := OpenRun(b, "test", "pod", nil)
			if _, err := r.Restore(t.Context(), readParts(t)); !errors.Is(err, storage.ErrDenied) {
				t.Errorf("%s: a run that may not read started afresh: %v", fault, err)
			}
		})
	}
}

// Objects of a commit that never happened go after a day, and only then.
func TestOrphansGoAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{RetryTimeout: time.Minute})
		dead, _ := mustRestore(t, b, "dead")
		mustCommit(t, dead, 1, false)
		store.Plan(func(c storagetest.Call) storagetest.Fault {
			if c.Conditional {
				return storagetest.Refused
			}
			return storagetest.None
		})
		if _, err := dead.Commit(t.Context(), "pretrain", 2, false, testParts(2)); !errors.Is(err, storage.ErrUnreachable) {
			t.Fatal(err)
		}
		store.Plan(nil)
		heir, _ := mustRestore(t, b, "heir")
		for _, x := range []struct {
			wait time.Duration
			step int64
			want []string
		}{{0, 3, []string{"1", "2", "3"}}, {23 * time.Hour, 4, []string{"1", "2", "3", "4"}}, {2 * time.Hour, 5, []string{"3", "4", "5"}}} {
			time.Sleep(x.wait)
			mustCommit(t, heir, x.step, false)
			if x.step == 5 {
				x.want = slices.DeleteFunc(x.want, func(s string) bool { return s == "1" })
			}
			if got := storedSteps(t, b); !slices.Equal(got, x.want) {
				t.Errorf("after step %d: steps %v are stored, want %v", x.step, got, x.want)
			}
		}
	})
}

// The objects of a checkpoint whose manifest cannot be read are evidence, although nothing names them any more.
func TestNamelessEvidenceStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{})
		r, _ := mustRestore(t, b, "pod")
		mustCommit(t, r, 1, true)
		mustCommit(t, r, 2, false)
		store.Corrupt("runs/test/manifest/000000000002.json", flipBit)
		heir, p := mustRestore(t, b, "heir")
		if p.Step != 1 || heir.Fallbacks() != 1 {
			t.Fatalf("%+v, %d fallbacks", p, heir.Fallbacks())
		}
		time.Sleep(48 * time.Hour)
		mustCommit(t, heir, 3, false)
		if got, want := storedSteps(t, b), []string{"1", "2", "3"}; !slices.Equal(got, want) {
			t.Errorf("steps %v are stored, want %v", got, want)
		}
	})
}

// An attempt that sleeps between its commit and its deletions, while others commit for days, deletes nothing that they retain. The store watches.
func TestSleepingAttemptDeletesNothingOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storagetest.NewStore(t)
		b := store.Open(storage.Options{})
		sleeper, _ := mustRestore(t, b, "sleeper")
		for step := range int64(5) {
			mustCommit(t, sleeper, step+1, false)
		}
		lists := 0
		store.Plan(func(c storagetest.Call) storagetest.Fault {
			if c.Op == storagetest.List && strings.HasSuffix(c.Key, "/state/") {
				if lists++; lists == 1 {
					return storagetest.Slow
				}
			}
			return storagetest.None
		})
		done := make(chan error, 1)
		go func() {
			_, err := sleeper.Commit(t.Context(), "pretrain", 6, false, testParts(6))
			done <- err
		}()
		time.Sleep(time.Second) // the sleeper has committed and waits for its listing
		other, _ := mustRestore(t, b, "other")
		for step := int64(7); step < 15; step++ {
			mustCommit(t, other, step, false)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got, want := storedSteps(t, b), []string{"12", "13", "14"}; !slices.Equal(got, want) {
			t.Errorf("steps %v are stored, want %v", got, want)
		}
		if _, err := sleeper.Commit(t.Context(), "pretrain", 7, false, testParts(7)); !errors.Is(err, storage.ErrOvertaken) {
			t.Errorf("the sleeper committed again: %v", err)
		}
	})
}

// A checkpoint that another attempt deletes while it is being loaded is not damage: the restore begins again with the newest.
func TestRestoreDuringCommitsOfAnother(t *testing.T) {
	b := storagetest.Open(t, "mem://", storagetest.Options(t))
	writer, _ := mustRestore(t, b, "writer")
	mustCommit(t, writer, 1, false)
	step := int64(1)
	r := OpenRun(b, "test", "reader", nil)
	p, err := r.Restore(t.Context(), func(c Checkpoint) error {
		for ; step < 6; step++ {
			mustCommit(t, writer, step+1, false)
		}
		return readParts(t)(c)
	})
	if err != nil || p.Step != 6 || r.Fallbacks() != 0 {
		t.Errorf("%+v, %v, %d fallbacks", p, err, r.Fallbacks())
	}
}

// 2,000 flips of one bit anywhere in a checkpoint, its manifest included: each is found.
func TestEveryFlippedBitIsFound(t *testing.T) {
	store := storagetest.NewStore(t)
	b := store.Open(storage.Options{})
	r, _ := mustRestore(t, b, "pod")
	mustCommit(t, r, 1, false)
	keys := slices.Sorted(maps.Keys(store.Objects()))
	total := 0
	for _, data := range store.Objects() {
		total += len(data)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		at, bit := random.IntN(total), byte(1)<<random.IntN(8)
		var key string
		for _, key = range keys {
			if n := len(store.Objects()[key]); at >= n {
				at -= n
			} else {
				break
			}
		}
		flip := func(data []byte) []byte { data[at] ^= bit; return data }
		store.Corrupt(key, flip)
		if p, err := OpenRun(b, "test", "pod", nil).Restore(t.Context(), readParts(t)); !errors.Is(err, storage.ErrCorrupt) {
			t.Fatalf("%s, byte %d, bit %d: restored %+v, %v", key, at, bit, p, err)
		}
		store.Corrupt(key, flip)
	}
	mustRestore(t, b, "pod")
}

package checkpoint

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

const (
	chaosBucket    = "CIJEPA_TEST_CHAOS_BUCKET" // set for a worker process: the bucket's URL
	exitOvertaken  = 76
	chaosWorkers   = 4
	chaosPauseMost = 1500 * time.Millisecond
)

// chaosParts returns the parts of a worker's checkpoint. Their content is a function of the step,
// so that any process can check it.
func chaosParts(step int64) []Part {
	random := rand.New(rand.NewPCG(uint64(step), 1))
	data := make([]byte, 1000+random.IntN(20000))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return []Part{bytesPart("student.safetensors", data), bytesPart("teacher.safetensors", data[:len(data)/2])}
}

func loadChaos(c Checkpoint) error {
	for _, part := range chaosParts(c.Step) {
		r, err := c.Open(part.Name)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
		var want bytes.Buffer
		part.Write(&want)
		if !bytes.Equal(got, want.Bytes()) {
			return fmt.Errorf("TORN: part %s of step %d has other bytes", part.Name, c.Step)
		}
	}
	return nil
}

// TestChaosWorker is no test: it is the process that TestChaos starts, pauses and kills. It commits
// step after step, prints each commit, and exits with 76 when it is overtaken.
func TestChaosWorker(t *testing.T) {
	url := os.Getenv(chaosBucket)
	if url == "" {
		t.Skip("runs as a process of TestChaos")
	}
	ctx := context.Background()
	b, err := storage.Open(ctx, url, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := OpenRun(b, "chaos", fmt.Sprint(os.Getpid()), nil)
	p, err := r.Restore(ctx, loadChaos)
	for err == nil {
		p, err = r.Commit(ctx, "pretrain", p.Step+1, p.Step%50 == 0, chaosParts(p.Step+1))
		if err == nil {
			fmt.Printf("committed %d %s\n", p.Sequence, r.chain.checksum)
			time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		}
	}
	if errors.Is(err, storage.ErrOvertaken) {
		os.Exit(exitOvertaken)
	}
	t.Fatal(err)
}

// chaos is a set of worker processes and what they printed.
type chaos struct {
	t   *testing.T
	url string
	all sync.WaitGroup

	mu           sync.Mutex
	running      []*exec.Cmd
	acknowledged map[int64]string // sequence -> checksum of the manifest
	started      int
	overtaken    int
}

func (c *chaos) start() {
	worker := exec.Command(os.Args[0], "-test.run=^TestChaosWorker$")
	worker.Env = append(os.Environ(), chaosBucket+"="+c.url)
	var problem bytes.Buffer
	worker.Stderr = &problem
	output, err := worker.StdoutPipe()
	if err == nil {
		err = worker.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = append(c.running, worker)
	c.started++
	c.all.Go(func() { c.follow(worker, output, &problem) })
}

// follow records what a worker prints and how it ends.
func (c *chaos) follow(worker *exec.Cmd, output io.Reader, problem *bytes.Buffer) {
	var other strings.Builder
	for lines := bufio.NewScanner(output); lines.Scan(); {
		var sequence int64
		var sum string
		if n, _ := fmt.Sscanf(lines.Text(), "committed %d %s", &sequence, &sum); n != 2 || len(sum) != 64 {
			fmt.Fprintln(&other, lines.Text())
			continue
		}
		c.mu.Lock()
		if before, said := c.acknowledged[sequence]; said && before != sum {
			c.t.Errorf("manifest %d was acknowledged to two workers", sequence)
		}
		c.acknowledged[sequence] = sum
		c.mu.Unlock()
	}
	err := worker.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = slices.DeleteFunc(c.running, func(x *exec.Cmd) bool { return x == worker })
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == exitOvertaken:
		c.overtaken++
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
	default:
		c.t.Errorf("a worker ended with %v: %s%s", err, other.String(), problem)
	}
}

// hurt kills or pauses a random worker, if there is one.
func (c *chaos) hurt(random *rand.Rand, kill bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.running) == 0 {
		return false
	}
	process := c.running[random.IntN(len(c.running))].Process
	if kill {
		process.Kill()
		return true
	}
	process.Signal(syscall.SIGSTOP)
	pause := time.Duration(random.Int64N(int64(chaosPauseMost)))
	c.all.Go(func() {
		time.Sleep(pause)
		process.Signal(syscall.SIGCONT)
	})
	return true
}

// Four processes work on one run at once and are killed and paused at random. Afterwards the chain
// of manifests is whole, every acknowledged commit is in it, and every retained checkpoint loads.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short: it takes seconds")
	}
	t.Run("file", func(t *testing.T) { testChaos(t, "file://"+t.TempDir()) })
	for _, kind := range storagetest.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			if kind != storagetest.S3 && storagetest.Long() == 0 {
				t.Skip("only with CIJEPA_TEST_LONG")
			}
			testChaos(t, storagetest.Start(t, kind, "").URL())
		})
	}
}

func testChaos(t *testing.T, url string) {
	c := &chaos{t: t, url: url, acknowledged: make(map[int64]string)}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	kills, pauses := 0, 0
	for end := time.Now().Add(max(storagetest.Long(), 1500*time.Millisecond)); time.Now().Before(end); {
		c.mu.Lock()
		missing := chaosWorkers - len(c.running)
		c.mu.Unlock()
		for range missing {
			c.start()
		}
		time.Sleep(time.Duration(50+random.IntN(150)) * time.Millisecond)
		kill := random.IntN(2) == 0 || kills == 0
		switch hurt := c.hurt(random, kill); {
		case hurt && kill:
			kills++
		case hurt:
			pauses++
		}
	}
	c.mu.Lock()
	for _, worker := range c.running {
		worker.Process.Kill() // a stopped process dies of it too
	}
	c.mu.Unlock()
	c.all.Wait()
	manifests := auditChain(t, storagetest.Open(t, url, storagetest.Options(t)), c.acknowledged)
	t.Logf("%d kills, %d pauses, %d workers of which %d were overtaken, %d manifests, %d acknowledged", kills,
		pauses, c.started, c.overtaken, manifests, len(c.acknowledged))
	if manifests == 0 || kills == 0 {
		t.Error("nothing happened")
	}
}

// auditChain checks all manifests of the run "chaos" from the first to the last.
func auditChain(t *testing.T, b *storage.Bucket, acknowledged map[int64]string) (manifests int) {
	t.Helper()
	r := OpenRun(b, "chaos", "auditor", storagetest.Log(t))
	p, err := r.Restore(t.Context(), loadChaos)
	if err != nil || r.Fallbacks() > 0 {
		t.Fatalf("restored %+v after %d fallbacks: %v", p, r.Fallbacks(), err)
	}
	before, lost := "", 0
	for sequence := int64(1); sequence <= p.Sequence; sequence++ {
		m, sum, err := r.readManifest(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		if m.Previous != before || m.Step != sequence {
			t.Errorf("broken link: manifest %d, step %d, names %s, the one before is %s", sequence, m.Step,
				m.Previous, before)
		}
		if said, ok := acknowledged[sequence]; ok && said != sum {
			lost++
		}
		before = sum
	}
	for sequence := range acknowledged {
		if sequence > p.Sequence {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d acknowledged commits are lost", lost)
	}
	for _, x := range r.chain.retained {
		if _, err := r.loadCheckpoint(t.Context(), x, loadChaos); err != nil {
			t.Errorf("retained checkpoint %d: %v", x.Sequence, err)
		}
	}
	return int(p.Sequence)
}

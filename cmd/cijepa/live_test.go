package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestListen: a run that is watched without a pause, and stopped and started again, is to the bit
// the run that nobody watched, and ends as fast.
func TestListen(t *testing.T) {
	t.Parallel()
	alone := newBucket(t)
	c, log := start(t, alone)
	waitFor(t, log, `"msg":"step"`)
	if n := listening(t, c.Process.Pid); n != 0 {
		t.Errorf("a run that is not asked to listen listens on %d sockets", n)
	}
	if code := wait(t, c); code != 0 {
		t.Fatalf("exit %d\n%s", code, log)
	}
	want := result(t, alone)

	bucket := newBucket(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, stopAt := range []string{`"msg":"step"`, `"phase":"probe","step":`, ""} {
		c, log := start(t, bucket, "CIJEPA_LISTEN=127.0.0.1:0")
		waitFor(t, log, `"msg":"listening"`)
		address := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(log.String())[1]
		scraped := make(chan string)
		go func() { scraped <- scrape(ctx, "http://"+address) }()
		code, took := 0, time.Duration(0)
		if stopAt != "" {
			waitFor(t, log, stopAt)
			if n := listening(t, c.Process.Pid); n != 1 {
				t.Errorf("it listens on %d sockets, want 1", n)
			}
			begin := time.Now()
			_ = c.Process.Signal(syscall.SIGTERM)
			code, took = wait(t, c), time.Since(begin)
		} else {
			code = wait(t, c)
		}
		last := <-scraped
		if finished := strings.Contains(log.String(), `"msg":"done"`); code != 143 && !finished || took > 5*time.Second {
			t.Errorf("exit %d, %s after the signal\n%s", code, took, log)
		}
		for _, text := range []string{`cijepa_steps_done{phase=`, `cijepa_run_info{preset="demo",run="tiny"} 1`, `go_goroutines`} {
			if !strings.Contains(last, text) {
				t.Errorf("the last scrape has no %s:\n%s", text, last)
			}
		}
	}
	if d := cmp.Diff(want.Metrics, result(t, bucket).Metrics); d != "" {
		t.Errorf("the run that was watched ended otherwise:\n%s", d)
	}
}

// scrape asks for everything until nobody answers, and gives the last metrics. A fault of health
// ends it with a sentence.
func scrape(ctx context.Context, url string) (last string) {
	for ctx.Err() == nil {
		for _, path := range []string{"/metrics", "/healthz", "/"} {
			answer, err := http.Get(url + path)
			if err != nil {
				return last
			}
			text, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			switch {
			case err != nil:
				return last
			case answer.StatusCode != http.StatusOK:
				return fmt.Sprintf("%s: %s: %s", path, answer.Status, text)
			case path == "/metrics":
				last = string(text)
			}
		}
	}
	return last
}

// TestListenFaults: what is no address is a fault of the settings. One that cannot be bound, such
// as a port that is taken or an unknown host, is a warning, and the run goes on without its page.
func TestListenFaults(t *testing.T) {
	t.Parallel()
	slow(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct{ address, says string }{
		{"9090", "CIJEPA_LISTEN=9090: an address such as :9090"},
		{":99999", "CIJEPA_LISTEN=:99999: an address such as :9090"},
	} {
		folder := t.TempDir()
		p, log := start(t, "file://"+filepath.ToSlash(folder), "CIJEPA_LISTEN="+c.address)
		if code := wait(t, p); code != exitSettings || !strings.Contains(log.String(), c.says) {
			t.Errorf("exit %d, want %d and %q in\n%s", code, exitSettings, c.says, log)
		}
		if found, err := os.ReadDir(folder); err != nil || len(found) != 0 {
			t.Errorf("the bucket was touched: %v, %v", found, err)
		}
	}
	for address, says := range map[string]string{
		taken.Addr().String(): "address already in use", "192.0.2.1:9090": "cannot assign requested address", "no-such-host.invalid:9090": "no-such-host.invalid",
	} {
		p, log := start(t, "file://"+filepath.ToSlash(t.TempDir()), "CIJEPA_LISTEN="+address)
		if code := wait(t, p); code != exitSettings || !strings.Contains(log.String(), says) || !strings.Contains(log.String(), "without its page") || !strings.Contains(log.String(), "cijepa pack") {
			t.Errorf("%s: exit %d, want that of a bucket without data, %q, and a warning in\n%s", address, code, says, log)
		}
	}
}

// listening counts the TCP sockets that a process listens on.
func listening(t *testing.T, pid int) (n int) {
	t.Helper()
	open := map[string]bool{}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(links) == 0 {
		t.Skipf("no /proc to look into: %v", err)
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, "socket:[") {
			open[strings.Trim(to, "socket:[]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue // a machine without that protocol
		}
		for line := range strings.Lines(string(text)) {
			const state, inode, listen = 3, 9, "0A"
			if f := strings.Fields(line); len(f) > inode && f[state] == listen && open[f[inode]] {
				n++
			}
		}
	}
	return n
}

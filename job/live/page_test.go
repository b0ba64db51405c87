package live

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cijepa/cijepa/job/record"
)

// TestPanicInAPageIsAnAnswer of 500, and neither the end of the process nor of later pages.
func TestPanicInAPageIsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault := any("index out of range")
		p := newPages(slog.New(slog.DiscardHandler), func(time.Time) ([]byte, error) {
			if fault != nil {
				panic(fault)
			}
			return []byte("drawn"), nil
		})
		get(t, p, "/", http.StatusInternalServerError)
		fault = nil
		time.Sleep(pageAge)
		if text := get(t, p, "/", http.StatusOK); text != "drawn" {
			t.Error(text)
		}
	})
}

// TestPanicInMetricsIsAnAnswer of 500: a line with more values than depths has no names for them.
func TestPanicInMetricsIsAnAnswer(t *testing.T) {
	v, o := filled()
	v.Line(record.Step{Phase: record.Pretraining, Updates: []int64{1, 2, 3}})
	get(t, v.handler(o), "/metrics", http.StatusInternalServerError)
}

// TestPageHasLimits of size, of time and of readers; and drawing takes a twentieth of the time.
func TestPageHasLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		size, takes, drawn := 10, time.Minute, 0
		p := newPages(slog.New(slog.DiscardHandler), func(time.Time) ([]byte, error) {
			time.Sleep(takes)
			drawn++
			return make([]byte, size), nil
		})
		begin := time.Now()
		get(t, p, "/", http.StatusServiceUnavailable)
		if waited := time.Since(begin); waited != pageWait {
			t.Errorf("a reader waited for %v", waited)
		}
		time.Sleep(time.Minute)
		for range 60 {
			get(t, p, "/", http.StatusOK)
			time.Sleep(10 * time.Second)
		}
		if drawn != 1 {
			t.Errorf("in ten minutes %d pages were drawn that take a minute each", drawn)
		}
		time.Sleep(pageShare * time.Minute)
		takes = time.Second
		get(t, p, "/", http.StatusOK)
		for range maxReaders {
			p.readers <- struct{}{}
		}
		get(t, p, "/", http.StatusServiceUnavailable)
		for range maxReaders {
			<-p.readers
		}
		time.Sleep(pageShare * time.Second)
		size = maxPage + 1
		get(t, p, "/", http.StatusInternalServerError)
	})
}

// stalled is a reader that takes nothing until it is released.
type stalled struct {
	http.ResponseWriter
	release chan struct{}
}

func (s stalled) Write([]byte) (int, error) {
	<-s.release
	return 0, errors.New("gone")
}

// TestStalledReadersDelayNoOther reader.
func TestStalledReadersDelayNoOther(t *testing.T) {
	v, o := filled()
	h := v.handler(o)
	get(t, h, "/", http.StatusOK)
	release := make(chan struct{})
	for range 3 {
		go h.ServeHTTP(stalled{httptest.NewRecorder(), release}, httptest.NewRequest(http.MethodGet, "/", nil))
	}
	defer close(release)
	time.Sleep(50 * time.Millisecond)
	answered := make(chan int)
	go func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		answered <- w.Code
	}()
	select {
	case code := <-answered:
		if code != http.StatusOK {
			t.Errorf("answer %d", code)
		}
	case <-time.After(10 * time.Second):
		t.Error("a reader waits for three that read nothing")
	}
}

// TestConnectionsAreFew: each takes a file descriptor of the run, which ends when it has none left.
func TestConnectionsAreFew(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	defer new(View).Serve(listener, Options{Limit: time.Hour, Log: slog.New(slog.DiscardHandler)})()
	var all []net.Conn
	closed := make(chan bool)
	for range 3 * maxConnections {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all = append(all, c)
		go func() {
			_, err := c.Read(make([]byte, 1)) // nothing is asked
			closed <- !errors.Is(err, os.ErrDeadlineExceeded)
		}()
	}
	for range 2 * maxConnections {
		if !<-closed {
			t.Error("a connection has ended otherwise than by the server")
		}
	}
	if err := Ask(t.Context(), address); err != nil {
		t.Errorf("the probe behind stalled connections: %v", err)
	}
	for _, c := range all {
		c.SetDeadline(time.Now())
	}
	held := 0
	for range maxConnections {
		if !<-closed {
			held++
		}
	}
	if held != maxConnections {
		t.Errorf("%d connections are held, want %d", held, maxConnections)
	}
	for _, c := range all {
		c.Close()
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) { // and then there is room
		if answer, err := http.Get("http://" + address + "/healthz"); err == nil && answer.StatusCode == http.StatusOK {
			answer.Body.Close()
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatal("nobody is answered any more")
		}
	}
}

// TestStalledConnectionsDelayNoOther: the same over sockets, whose buffers are full.
func TestStalledConnectionsDelayNoOther(t *testing.T) {
	p := newPages(slog.New(slog.DiscardHandler), func(time.Time) ([]byte, error) { return make([]byte, maxPage), nil })
	server := httptest.NewServer(p)
	defer server.CloseClientConnections()
	for range 3 {
		c, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond)
	client := http.Client{Timeout: 20 * time.Second}
	answer, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if n, err := io.Copy(io.Discard, answer.Body); err != nil || n != maxPage {
		t.Errorf("%d bytes: %v", n, err)
	}
}

package cluster

import (
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// gate is a way to the S3 server that can be closed.
type gate struct {
	address string
	open    atomic.Bool
}

func newGate(t *testing.T, server string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{address: l.Addr().String()}
	g.open.Store(true)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { g.carry(from, server) })
		}
	})
	t.Cleanup(func() {
		g.open.Store(false)
		l.Close()
		all.Wait()
	})
	return g
}

// carry carries one connection, until it ends or the gate closes.
func (g *gate) carry(from net.Conn, server string) {
	defer from.Close()
	to, err := net.Dial("tcp", server)
	if err != nil || !g.open.Load() {
		return
	}
	defer to.Close()
	done := make(chan struct{}, 2)
	go func() { _, _ = io.Copy(to, from); done <- struct{}{} }()
	go func() { _, _ = io.Copy(from, to); done <- struct{}{} }()
	for g.open.Load() {
		select {
		case <-done:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// cachedShards are the shards in a pod's cache, with when each was written.
func cachedShards(p *process) map[string]time.Time {
	found := map[string]time.Time{}
	_ = filepath.WalkDir(p.volume("cache"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".tar") {
			if info, err := d.Info(); err == nil {
				found[filepath.Base(path)] = info.ModTime()
			}
		}
		return nil
	})
	return found
}

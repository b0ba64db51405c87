//go:build cgo

package model

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/go-xla/pjrt"
)

// A device with memory of its own holds a snapshot until it has come to the host. Steps neither
// wait for that nor change it. Without room for the copy the snapshot is the same.
func TestSnapshotComesBesideSteps(t *testing.T) {
	path, _ := buildPlugin(t)
	t.Setenv("PLUGIN_KEEP", "1")
	c := tiny()
	host, err := NewLearner(testDevice(t), c, 5)
	if err != nil {
		t.Fatal(err)
	}
	want := stateFiles(t, host)
	d := openPlugin(t, path, DeviceOptions{})
	for _, room := range []bool{true, false} {
		before := pjrt.BuffersAlive()
		l, err := NewLearner(d, c, 5)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.CompileSnapshot(); err != nil {
			t.Fatal(err)
		}
		take(t, l, stepInput(t, l, 0)) // compiles
		if err := l.Load(opener(want)); err != nil {
			t.Fatal(err)
		}
		arrays := 0
		for _, p := range l.files(c) {
			arrays += len(p.stacked())
		}
		const each = 4 * time.Millisecond
		t.Setenv("PLUGIN_READ", fmt.Sprint(each.Microseconds()))
		if !room {
			t.Setenv("PLUGIN_MEMORY_LEFT", "1000")
		}
		begun := time.Now()
		s, err := l.Snapshot()
		held := time.Since(begun)
		t.Setenv("PLUGIN_MEMORY_LEFT", "")
		if err != nil {
			t.Fatal(err)
		}
		all := time.Duration(arrays) * each
		t.Logf("with room for a copy: %t; held up for %v, of %d arrays that take %v to come to the host", room, held, arrays, all)
		if room && held > all/4 || !room && held < all*3/4 { // a few arrays are small, and the clock is coarse
			t.Errorf("with room for a copy: %t; held up for %v, where the host has all after %v", room, held, all)
		}
		take(t, l, stepInput(t, l, 1)) // and all is one
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		for _, p := range s {
			var file bytes.Buffer
			if err := p.Write(&file); err != nil || int64(file.Len()) != p.Size || !bytes.Equal(file.Bytes(), want[p.Name]) {
				t.Errorf("with room for a copy: %t; %s is not the file of the moment of the snapshot: %d bytes, %v", room, p.Name, file.Len(), err)
			}
		}
		if after := atMost(before, pjrt.BuffersAlive); after > before {
			t.Errorf("with room for a copy: %t; %d buffers before, %d after", room, before, after)
		}
	}
}

// atMost polls for a second until the answer is at most `want`.
func atMost(want int64, ask func() int64) (got int64) {
	for range 100 {
		if got = ask(); got <= want {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return got
}

// A failed download is the error of Part.Write, and nothing stays on the device.
func TestSnapshotThatCannotBeRead(t *testing.T) {
	path, _ := buildPlugin(t)
	d := openPlugin(t, path, DeviceOptions{})
	l, err := zeroLearner(d, tiny())
	if err != nil {
		t.Fatal(err)
	}
	before := pjrt.BuffersAlive()
	t.Setenv("PLUGIN_READ", "fails")
	s, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s {
		if err := p.Write(new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "nothing can be read") {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	if after := atMost(before, pjrt.BuffersAlive); after > before {
		t.Errorf("%d buffers before, %d after", before, after)
	}
}

// zeroLearner is a learner whose state is zeros.
func zeroLearner(d *Device, cfg Config) (*Learner, error) {
	l, err := newLearner(d, cfg)
	if err != nil {
		return nil, err
	}
	return l, l.fillZeros()
}

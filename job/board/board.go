// Package board turns the lines of a run into event files for TensorBoard, one object a flush: the
// numbers of both phases by update, the table of errors as a picture, alarms as text, and the
// settings and scores for the table of hyperparameters. It knows the lines of package record; no
// settings, no storage, no model.
//
// TensorBoard shows a folder of files as one entry, and reads them in the order of their names, so
// these begin with the time of the attempt. The first event of an attempt voids what an earlier
// attempt wrote of later steps. So the steps of a run rise throughout: those of the probe count on
// from the updates of pretraining, and what a run finds at its end stands behind both.
//
//	board.go    the lines, and the files made of them
//	event.go    the encoding of events
//	session.go  the encoding of hyperparameters
package board

import (
	"bytes"
	"fmt"
	"image/png"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/report/chart"
)

// Board collects events until they are written. The zero Board is ready. It is safe for concurrent
// use: one goroutine adds while another writes.
type Board struct {
	mu         sync.Mutex
	begun      time.Time // of the first event
	pretrained int64     // updates of pretraining
	from       int64     // steps that the attempt took over from others
	newest     int64     // step of the newest line
	started    bool      // a file with the first event of this attempt is written
	data       []byte
	draw       func(table [][]*float64) ([]byte, error) // a PNG; nil: no pictures
	table      [][]*float64                             // the newest
	pictures   []picture                                // to be drawn by Unwritten: it takes too long for the training loop
}

// picture is a table of errors that is still to be drawn.
type picture struct {
	at    time.Time
	step  int64
	table [][]*float64
}

// File is an event file to be written.
type File struct {
	Name  string // below metrics/
	Data  []byte // nil: there is nothing to write
	taken int    // bytes of the board's data in it
}

// Describe adds the run's settings (numbers, booleans and strings). From then on the table of
// errors is drawn, with the collected depths as headings.
func (b *Board) Describe(run string, depths []int, settings map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.add(now, sessionStart(now, settings))
	b.draw = func(table [][]*float64) ([]byte, error) {
		var png bytes.Buffer
		err := chart.ByDepth(depths, table).PNG(&png, run)
		return png.Bytes(), err
	}
}

// Resume sets where an attempt begins: after so many updates of pretraining and of the probe, with
// the table of errors as it was then.
func (b *Board) Resume(pretrained, probed int64, table [][]*float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pretrained, b.from, b.newest = pretrained, pretrained+probed, pretrained+probed
	if pretrained > 0 {
		b.table = table
	}
}

// Line adds a line of the journal. The caller must not change it any more.
func (b *Board) Line(line any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch l := line.(type) {
	case record.Step:
		if l.Phase == record.Pretraining {
			b.pretrained, b.newest = l.Step, l.Step
		} else {
			b.newest = b.pretrained + l.Step
		}
		add := b.scalars(now, b.newest)
		for _, s := range record.StepSeries {
			v, tag := s.Of(l), s.Tag
			if tag == "" || l.Phase != record.Pretraining && !s.Probe || s.Counter && *v == 0 {
				continue // a count of nothing is no chart
			}
			if l.Phase != record.Pretraining {
				tag = "3_probe/" + path.Base(tag)
			}
			add(tag, v)
		}
		if deepest := len(l.Table) - 1; deepest >= 0 {
			add("error/deepest_to_deepest", l.Table[deepest][deepest])
			b.table = l.Table
		}
	case record.Health:
		add := b.scalars(now, l.Step)
		for i, depth := range l.Depths {
			for _, s := range record.HealthSeries {
				if s.Tag != "" {
					add(fmt.Sprintf("%s/depth_%02d", s.Tag, depth), s.Of(l)[i])
				}
			}
		}
		if b.draw != nil && len(b.table) > 1 { // one cell is no picture
			b.pictures = append(b.pictures, picture{now, l.Step, b.table})
		}
	case record.Eval:
		add := b.scalars(now, l.Step)
		for _, s := range record.EvalSeries {
			if s.Tag != "" {
				add(s.Tag, s.Of(l))
			}
		}
	case record.Alarm:
		b.add(now, note(now, l.Step, "alarms/"+l.Alarm, l.Text))
	}
}

// Picture adds a JPEG file of a run at its end, under its name, and what it shows in words.
func (b *Board) Picture(file, words string, width, height int, jpeg []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, tag := time.Now(), "pictures/"+strings.TrimSuffix(file, ".jpg")
	b.add(now, imageEvent(now, b.newest+1, tag, width, height, jpeg))
	b.add(now, note(now, b.newest+1, tag+"_in_words", words))
}

// Finish adds the scores of the run. The steps of the profile are depths.
func (b *Board) Finish(m record.Metrics) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if m.Scored() {
		add := b.scalars(now, b.newest+1)
		add("result/probe_top1", &m.Top1)
		add("result/probe_top5", &m.Top5)
		add("result/untrained_probe_top1", &m.UntrainedTop1)
		add("result/knn_top1", m.KNNTop1)
		add("result/untrained_knn_top1", m.UntrainedKNN)
		if m.Ridge != nil {
			add("result/ridge_top1", &m.Ridge.Top1)
			add("result/untrained_ridge_top1", &m.Ridge.UntrainedTop1)
		}
	}
	for _, d := range m.Depths {
		add := b.scalars(now, int64(d.Depth))
		add("profile/probe_top1_by_depth", &d.Top1)
		add("profile/untrained_probe_top1_by_depth", &d.UntrainedTop1)
	}
	b.add(now, sessionEnd(now))
}

// scalars returns a function that adds numbers of a step, except those that are not known.
func (b *Board) scalars(at time.Time, step int64) func(tag string, value *float64) {
	return func(tag string, value *float64) {
		if value != nil {
			b.add(at, scalar(at, step, tag, *value))
		}
	}
}

func (b *Board) add(at time.Time, event []byte) {
	if b.begun.IsZero() {
		b.begun = at
	}
	b.data = frame(b.data, event)
}

// Unwritten draws the pictures and returns what has not been written yet. A picture that cannot be
// drawn is left out: the error is of the last such one, and the file is complete but for these.
func (b *Board) Unwritten() (f File, err error) {
	b.mu.Lock()
	pictures, draw := b.pictures, b.draw
	b.pictures = nil
	b.mu.Unlock()
	for _, p := range pictures {
		event, failed := p.event(draw)
		if failed != nil {
			err = failed
			continue
		}
		b.mu.Lock()
		b.add(p.at, event)
		b.mu.Unlock()
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.data) == 0 {
		return f, err
	}
	f.Data = frame(nil, version(b.begun))
	if !b.started {
		f.Data = frame(f.Data, start(b.begun, b.from+1))
	}
	f.Name, f.Data, f.taken = fmt.Sprintf("events.out.tfevents.%010d.v2", b.begun.Unix()), append(f.Data, b.data...), len(b.data)
	return f, err
}

// event draws a picture as an event.
func (p picture) event(draw func(table [][]*float64) ([]byte, error)) ([]byte, error) {
	text, err := draw(p.table)
	if err != nil {
		return nil, fmt.Errorf("drawing the table of errors of step %d: %w", p.step, err)
	}
	size, err := png.DecodeConfig(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the drawn table of errors of step %d: %w", p.step, err)
	}
	return imageEvent(p.at, p.step, "error/table", size.Width, size.Height, text), nil
}

// Written marks a file of Unwritten as written.
func (b *Board) Written(f File) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.started, b.data = true, bytes.Clone(b.data[f.taken:])
}

// Package board turns the lines of a run into event files for TensorBoard, one object a flush: the
// numbers of both phases by update, the table of errors as a picture, alarms as text, and the
// settings and scores for the table of hyperparameters. It knows the lines of package record; no
// settings, no storage, no model.
//
// TensorBoard reads the files of a folder in the order of their names, so these begin with the time
// of the attempt. The first event of an attempt voids the events that an earlier attempt wrote of
// later updates.
//
//	board.go    the lines, and the files made of them
//	event.go    the encoding of events
//	session.go  the encoding of hyperparameters
package board

import (
	"bytes"
	"fmt"
	"image/png"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/report/chart"
)

// Board collects events until they are written. The zero Board is ready. It is safe for concurrent
// use: one goroutine adds while another writes.
type Board struct {
	mu       sync.Mutex
	begun    time.Time // of the first event
	folders  map[string]*folder
	draw     func(table [][]*float64) ([]byte, error) // a PNG; nil: no pictures
	table    [][]*float64                             // the newest
	pictures []picture                                // to be drawn by Files: it takes too long for the training loop
}

// folder is what TensorBoard calls a run.
type folder struct {
	from    int64 // updates that the attempt took over from others
	started bool  // a file with the first event of this attempt is written
	data    []byte
}

// picture is a table of errors that is still to be drawn.
type picture struct {
	folder string
	at     time.Time
	step   int64
	table  [][]*float64
}

// File is an event file to be written.
type File struct {
	Name   string // below metrics/
	Data   []byte
	folder string
	taken  int // bytes of the folder's data in it
}

// root is the folder of what is not about an update. TensorBoard applies its hyperparameters and
// scores to the folders below it, one for each phase.
const root = ""

// Describe adds the run's settings (numbers, booleans and strings). From then on the table of
// errors is drawn, with the collected depths as headings.
func (b *Board) Describe(run string, depths []int, settings map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.add(root, now, sessionStart(now, settings))
	b.draw = func(table [][]*float64) ([]byte, error) {
		var png bytes.Buffer
		err := chart.ByDepth(depths, table).PNG(&png, run)
		return png.Bytes(), err
	}
}

// Resume sets where an attempt begins: after so many updates of a phase, with the table of errors
// as it was then.
func (b *Board) Resume(phase string, updates int64, table [][]*float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.folder(phase).from = updates
	if updates > 0 {
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
		add := b.scalars(l.Phase, now, l.Step)
		for _, s := range record.StepSeries {
			v := s.Of(l)
			if s.Tag == "" || l.Phase != record.Pretraining && !s.Probe || s.Counter && *v == 0 {
				continue // a count of nothing is no chart
			}
			add(s.Tag, v)
		}
		if deepest := len(l.Table) - 1; deepest >= 0 {
			add("error/deepest_to_deepest", l.Table[deepest][deepest])
			b.table = l.Table
		}
	case record.Health:
		add := b.scalars(record.Pretraining, now, l.Step)
		for i, depth := range l.Depths {
			for _, s := range record.HealthSeries {
				if s.Tag != "" {
					add(fmt.Sprintf("%s/depth_%02d", s.Tag, depth), s.Of(l)[i])
				}
			}
		}
		if b.draw != nil && len(b.table) > 1 { // one cell is no picture
			b.pictures = append(b.pictures, picture{record.Pretraining, now, l.Step, b.table})
		}
	case record.Eval:
		add := b.scalars(record.Pretraining, now, l.Step)
		for _, s := range record.EvalSeries {
			if s.Tag != "" {
				add(s.Tag, s.Of(l))
			}
		}
	case record.Alarm:
		b.add(record.Pretraining, now, note(now, l.Step, "alarms/"+l.Alarm, l.Text))
	}
}

// Picture adds a JPEG file of the run after so many updates, under its name, and what it shows in
// words.
func (b *Board) Picture(updates int64, file, words string, width, height int, jpeg []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, tag := time.Now(), "pictures/"+strings.TrimSuffix(file, ".jpg")
	b.add(root, now, imageEvent(now, updates, tag, width, height, jpeg))
	b.add(root, now, note(now, updates, tag+"_in_words", words))
}

// Finish adds the scores of the run. The steps of the profile are depths.
func (b *Board) Finish(m record.Metrics) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if m.Scored() {
		add := b.scalars(root, now, m.Updates)
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
		add := b.scalars(root, now, int64(d.Depth))
		add("profile/probe_top1_by_depth", &d.Top1)
		add("profile/untrained_probe_top1_by_depth", &d.UntrainedTop1)
	}
	b.add(root, now, sessionEnd(now))
}

// scalars returns a function that adds numbers of an update, except those that are not known.
func (b *Board) scalars(name string, at time.Time, step int64) func(tag string, value *float64) {
	return func(tag string, value *float64) {
		if value != nil {
			b.add(name, at, scalar(at, step, tag, *value))
		}
	}
}

func (b *Board) add(name string, at time.Time, event []byte) {
	if b.begun.IsZero() {
		b.begun = at
	}
	f := b.folder(name)
	f.data = frame(f.data, event)
}

func (b *Board) folder(name string) *folder {
	if b.folders == nil {
		b.folders = map[string]*folder{}
	}
	if b.folders[name] == nil {
		b.folders[name] = &folder{}
	}
	return b.folders[name]
}

// Files draws the pictures and returns what has not been written yet. A picture that cannot be
// drawn is left out: the error is of the last such one, and the files are complete but for these.
func (b *Board) Files() (files []File, err error) {
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
		b.add(p.folder, p.at, event)
		b.mu.Unlock()
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	for name, f := range b.folders {
		if len(f.data) == 0 {
			continue
		}
		data := frame(nil, version(b.begun))
		if !f.started {
			data = frame(data, start(b.begun, f.from+1))
		}
		file := fmt.Sprintf("events.out.tfevents.%010d.v2", b.begun.Unix())
		if name != root {
			file = name + "/" + file
		}
		files = append(files, File{file, append(data, f.data...), name, len(f.data)})
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, err
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

// Written marks a file of Files as written.
func (b *Board) Written(f File) {
	b.mu.Lock()
	defer b.mu.Unlock()
	folder := b.folders[f.folder]
	folder.started = true
	folder.data = bytes.Clone(folder.data[f.taken:])
}

// Package board turns the lines of a run into event files for TensorBoard, one object a flush: the figures of both phases
// by update, the table of errors as a picture, alarms as text, and the settings and final figures for the table of
// hyperparameters. It knows the lines of package record; no settings, no storage, no model.
//
// TensorBoard reads the files of a folder in the order of their names, so these begin with the time of the attempt. What
// an attempt computes again it says once more, and the first event of its files voids what was said before.
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
)

// Board gathers events. The zero Board is ready; one goroutine may add while another takes.
type Board struct {
	// Draw makes a PNG of a table of errors, source depth x target depth; nil: no pictures.
	Draw func(table [][]*float64) ([]byte, error)

	mu       sync.Mutex
	begun    time.Time // of the first event
	folders  map[string]*folder
	table    [][]*float64 // the newest
	pictures []drawing    // still to be drawn: it takes too long for a training loop
}

// folder is one run in TensorBoard's eyes.
type folder struct {
	from    int64 // updates that the attempt took over from others
	started bool  // a file with the first event of this attempt is written
	data    []byte
}

type drawing struct {
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

// root is the folder of what is not about a step. Its metrics and hyperparameters hold for the folders below it, one for
// each phase.
const root = ""

// Resume says that an attempt takes a phase up after so many updates, with a table of errors as it was then.
func (b *Board) Resume(phase string, updates int64, table [][]*float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.folder(phase).from = updates
	if updates > 0 {
		b.table = table
	}
}

// Line takes a line of the journal, which nobody changes any more.
func (b *Board) Line(line any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch l := line.(type) {
	case record.Step:
		add := b.scalars(l.Phase, now, l.Step)
		add("loss", l.Loss)
		add("learning_rate", &l.LR)
		add("images_per_second", &l.ImagesPerSecond)
		add("data_wait", &l.DataWait)
		add("bad_samples", count(l.Bad))
		if len(l.Table) > 0 { // of pretraining
			add("ema_momentum", &l.EMAMomentum)
			add("skipped_updates", count(l.Skipped))
			add("error/deepest_to_deepest", l.Table[len(l.Table)-1][len(l.Table)-1])
			b.table = l.Table
		}
	case record.Health:
		add := b.scalars(record.Pretraining, now, l.Step)
		for i, depth := range l.Depths {
			add(fmt.Sprintf("feature_std/depth_%02d", depth), l.Std[i])
			add(fmt.Sprintf("effective_rank/depth_%02d", depth), l.Rank[i])
			add(fmt.Sprintf("residual_rms/depth_%02d", depth), l.RMS[i])
		}
		if b.Draw != nil && len(b.table) > 1 { // one cell is no picture
			b.pictures = append(b.pictures, drawing{record.Pretraining, now, l.Step, b.table})
		}
	case record.Eval:
		add := b.scalars(record.Pretraining, now, l.Step)
		add("eval/probe_top1", &l.ProbeTop1)
		add("eval/knn_top1", l.KNNTop1)
	case record.Alarm:
		b.add(record.Pretraining, now, note(now, l.Step, "alarms/"+l.Alarm, l.Text))
	}
}

// Finish takes what the run found: percentages of the validation split. The profile's steps are depths.
func (b *Board) Finish(f record.Metrics) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	add := b.scalars(root, now, f.Updates)
	add("result/probe_top1", &f.Top1)
	add("result/probe_top5", &f.Top5)
	add("result/untrained_probe_top1", &f.UntrainedTop1)
	add("result/knn_top1", f.KNNTop1)
	for _, d := range f.Depths {
		add := b.scalars(root, now, int64(d.Depth))
		add("profile/probe_top1_by_depth", &d.Top1)
		add("profile/untrained_probe_top1_by_depth", &d.UntrainedTop1)
	}
	b.add(root, now, sessionEnd(now))
}

// Describe takes the run's settings: numbers, truth values and words.
func (b *Board) Describe(settings map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.add(root, now, sessionStart(now, settings))
}

// scalars gives a function that adds figures of a step; those that are not there, or were not finite, it passes over.
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

// Files draws what is to be drawn and gives what has not been written yet. A picture that cannot be drawn is left out.
func (b *Board) Files() (files []File, err error) {
	b.mu.Lock()
	pictures := b.pictures
	b.pictures = nil
	b.mu.Unlock()
	for _, p := range pictures {
		event, failed := b.draw(p)
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

func (b *Board) draw(p drawing) ([]byte, error) {
	text, err := b.Draw(p.table)
	if err != nil {
		return nil, fmt.Errorf("drawing the table of errors of step %d: %w", p.step, err)
	}
	size, err := png.DecodeConfig(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the drawn table of errors of step %d: %w", p.step, err)
	}
	return picture(p.at, p.step, "error/table", size.Width, size.Height, text), nil
}

// Written takes a file off what is to be written.
func (b *Board) Written(f File) {
	b.mu.Lock()
	defer b.mu.Unlock()
	folder := b.folders[f.folder]
	folder.started = true
	folder.data = bytes.Clone(folder.data[f.taken:])
}

func count(n int64) *float64 {
	v := float64(n)
	return &v
}

package live

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/cijepa/cijepa/job/record"
)

// Identity is what a scraped run is told apart by.
type Identity struct {
	Run, Preset string
	Versions    record.Versions
	Depths      []int // collected ones, the rows and columns of a line's table
}

// registry holds the metrics of the run, of Go and of the process: its own one, since any library may write into the default.
func (v *View) registry(who Identity) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{v, who}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// collector makes metrics of the newest state whenever it is asked: the figures of the newest lines of the journal, and
// counts of this process. Nothing that training waits for is held.
type collector struct {
	view *View
	Identity
}

// Describe describes nothing: what there is to tell depends on how far the run is.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect gives what is known now.
func (c collector) Collect(out chan<- prometheus.Metric) {
	m := metrics(out)
	s := c.view.state()
	b := c.Versions
	m.gauge("build_info", "What computes the run.", 1, "version", b.Program, "commit", b.Commit, "go_version", b.Go,
		"gomlx_version", b.GoMLX, "compute_version", b.Compute, "go_xla_version", b.GoXLA)
	m.gauge("run_info", "The run and the preset that it started from.", 1, "run", c.Run, "preset", c.Preset)
	if s.before != nil {
		m.gauge("attempts", "Starts of the program for this run, this one among them.", float64(len(s.before.Attempts)))
	}
	moved, _ := c.view.pulse(time.Now())
	m.gauge("progress_timestamp_seconds", "When anything last moved: a step, a compiled program, a byte from or to a bucket.", seconds(moved))
	m.counter("bucket_read_bytes_total", "Bytes read from buckets.", float64(c.view.read.Load()))
	m.counter("bucket_written_bytes_total", "Bytes written to buckets, those of failed tries among them.", float64(c.view.written.Load()))

	for _, p := range s.phases {
		m.gauge("steps_done", "Updates of the phase that are done.", float64(p.done), "phase", p.name)
		m.gauge("steps_planned", "Updates that the phase has.", float64(p.total), "phase", p.name)
		m.counter("steps_computed_total", "Updates that this process has computed.", float64(p.computed), "phase", p.name)
	}
	for _, phase := range s.steps {
		line := *phase.newest()
		m.known("loss", "Loss of the update at the newest line.", line.Loss, "phase", line.Phase)
		m.gauge("epoch", "Epochs of the phase that are done.", line.Epoch, "phase", line.Phase)
		m.gauge("learning_rate", "Learning rate.", line.LR, "phase", line.Phase)
		m.gauge("images_per_second", "Images of updates a second, since the line before.", line.ImagesPerSecond, "phase", line.Phase)
		m.gauge("data_wait_ratio", "Share of the time that updates waited for images, since the line before.", line.DataWait, "phase", line.Phase)
		if line.Table != nil {
			c.pretraining(m, line)
		}
	}
	if h := s.healths.newest(); h != nil {
		m.health(*h)
	}
	if o := s.onlines.newest(); o != nil {
		m.gauge("eval_probe_top1_ratio", "Share of held-out images that the online probe gets right.", o.ProbeTop1/100)
		if o.KNNTop1 != nil {
			m.gauge("eval_knn_top1_ratio", "Share of held-out images that the online kNN gets right.", *o.KNNTop1/100)
		}
	}
	for kind, n := range s.rung {
		m.counter("alarms_total", "Alarms that this process has raised.", float64(n), "alarm", kind)
	}
	m.counter("checkpoints_saved_total", "Checkpoints that this process has committed.", float64(s.saves.committed))
	m.counter("checkpoints_failed_total", "Checkpoints that this process could not commit.", float64(s.saves.failed))
	m.counter("checkpoint_saved_bytes_total", "Bytes of the committed checkpoints.", float64(s.saves.bytes))
	m.counter("checkpoint_save_seconds_total", "Time that committing checkpoints took, beside training.", s.saves.seconds)
	if s.saves.committed > 0 {
		m.gauge("checkpoint_step", "Updates done in the newest checkpoint that this process has committed.", float64(s.saves.step), "phase", s.saves.phase)
		m.gauge("checkpoint_timestamp_seconds", "When this process committed its newest checkpoint.", seconds(s.saves.at))
	}
}

// pretraining gives what only lines of pretraining have.
func (c collector) pretraining(m metrics, line record.Step) {
	m.gauge("ema_momentum", "EMA momentum of the teacher.", line.EMAMomentum)
	m.counter("skipped_updates_total", "Updates of the run whose gradient was not finite.", float64(line.Skipped))
	m.counter("bad_samples_total", "Images that could not be decoded.", float64(line.Bad))
	for row, n := range line.Updates {
		m.counter("pathway_updates_total", "Updates of the run in which the source depth was sampled.", float64(n), "source", strconv.Itoa(c.Depths[row]))
	}
	for row, errors := range line.Table {
		for column, mse := range errors {
			m.known("table_mse", "Last seen error of a source depth's prediction of a target depth; predicting zero scores 1.", mse,
				"source", strconv.Itoa(c.Depths[row]), "target", strconv.Itoa(c.Depths[column]))
		}
	}
}

// metrics is where metrics go. Names follow Prometheus's conventions: the base unit at the end, _total for what only grows.
type metrics chan<- prometheus.Metric

func (m metrics) health(h record.Health) {
	for i, d := range h.Depths {
		depth := strconv.Itoa(d)
		m.known("feature_std", "Standard deviation over images of the teacher's pooled features; collapsed when near 0.", h.Std[i], "depth", depth)
		m.known("effective_rank", "Effective rank of the teacher's pooled features.", h.Rank[i], "depth", depth)
		m.known("residual_rms", "Root mean square of the teacher's residual stream.", h.RMS[i], "depth", depth)
	}
}

func (m metrics) gauge(name, help string, value float64, labels ...string) {
	m.add(prometheus.GaugeValue, name, help, value, labels)
}

func (m metrics) counter(name, help string, value float64, labels ...string) {
	m.add(prometheus.CounterValue, name, help, value, labels)
}

// known leaves out what was not finite or has not been seen yet.
func (m metrics) known(name, help string, value *float64, labels ...string) {
	if value != nil {
		m.gauge(name, help, *value, labels...)
	}
}

// add takes labels as pairs of name and value.
func (m metrics) add(kind prometheus.ValueType, name, help string, value float64, labels []string) {
	var names, values []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	m <- prometheus.MustNewConstMetric(prometheus.NewDesc("cijepa_"+name, help, names, nil), kind, value, values...)
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

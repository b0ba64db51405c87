package live

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/cijepa/cijepa/job/record"
)

// registry holds the metrics of the run, of Go and of the process. It is not Prometheus's default
// one, into which any library may write.
func (v *View) registry(o Options) *prometheus.Registry {
	r := prometheus.NewRegistry()
	process := collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})
	r.MustRegister(collector{v, o}, collectors.NewGoCollector(), process)
	return r
}

// collector makes metrics of the newest state when it is asked: the numbers of the newest lines,
// and counts of this process.
type collector struct {
	view *View
	Options
}

// Describe describes nothing: the metrics depend on how far the run is.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	m := metrics(out)
	defer func() { // the registry collects in a goroutine of its own, where a panic would end the run
		if fault := recover(); fault != nil {
			err := fmt.Errorf("collecting panicked: %v", fault)
			out <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
		}
	}()
	s := c.view.state()
	b := c.Versions
	m.gauge("build_info", "What computes the run.", 1, "version", b.Program, "commit", b.Commit, "go_version", b.Go,
		"gomlx_version", b.GoMLX, "compute_version", b.Compute, "go_xla_version", b.GoXLA)
	m.gauge("run_info", "The run and the preset that it started from.", 1, "run", c.Run, "preset", c.Preset)
	if s.before != nil {
		m.gauge("attempts", "Starts of the program for this run, this one among them.", float64(len(s.before.Attempts)))
	}
	moved, _ := c.view.progress(time.Now())
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
		for _, series := range record.StepSeries {
			switch {
			case series.Probe && !series.Counter:
				exportSeries(m, series, series.Of(line), "phase", line.Phase)
			case line.Phase == record.Pretraining:
				exportSeries(m, series, series.Of(line))
			}
		}
		c.pathways(m, line)
	}
	if h := s.healths.newest(); h != nil {
		for _, series := range record.HealthSeries {
			for i, v := range series.Of(*h) {
				exportSeries(m, series, v, "depth", strconv.Itoa(h.Depths[i]))
			}
		}
	}
	if e := s.evals.newest(); e != nil {
		for _, series := range record.EvalSeries {
			exportSeries(m, series, series.Of(*e))
		}
	}
	for kind, n := range s.alarmCounts {
		m.counter("alarms_total", "Alarms that this process has raised.", float64(n), "alarm", kind)
	}
	c.checkpoints(m, s.saves)
}

// pathways exports what a line of pretraining has by source depth.
func (c collector) pathways(m metrics, line record.Step) {
	for row, n := range line.Updates {
		m.counter("pathway_updates_total", "Updates of the run in which the source depth was sampled.", float64(n),
			"source", strconv.Itoa(c.Depths[row]))
	}
	for row, errors := range line.Table {
		for column, mse := range errors {
			if mse == nil {
				continue
			}
			m.gauge("table_mse", "Last seen error of a source depth's prediction of a target depth; predicting zero scores 1.", *mse,
				"source", strconv.Itoa(c.Depths[row]), "target", strconv.Itoa(c.Depths[column]))
		}
	}
}

func (c collector) checkpoints(m metrics, s saves) {
	m.counter("checkpoints_saved_total", "Checkpoints that this process has committed.", float64(s.committed))
	m.counter("checkpoints_failed_total", "Checkpoints that this process could not commit.", float64(s.failed))
	m.counter("checkpoint_saved_bytes_total", "Bytes of the committed checkpoints.", float64(s.bytes))
	m.counter("checkpoint_save_seconds_total", "Time that committing checkpoints took, beside training.", s.seconds)
	if s.committed > 0 {
		m.gauge("checkpoint_step", "Updates done in the newest checkpoint that this process has committed.", float64(s.step), "phase", s.phase)
		m.gauge("checkpoint_timestamp_seconds", "When this process committed its newest checkpoint.", seconds(s.at))
	}
}

// exportSeries exports a value of a line, unless the series has no metric or the value is not
// known.
func exportSeries[L, V any](m metrics, s record.Series[L, V], value *float64, labels ...string) {
	if s.Metric == "" || value == nil {
		return
	}
	kind := prometheus.GaugeValue
	if s.Counter {
		kind = prometheus.CounterValue
	}
	m.add(kind, s.Metric, s.Help, s.Scale.Exported(*value), labels)
}

// metrics is where metrics go. Names follow Prometheus's conventions: the base unit at the end,
// _total for what only grows.
type metrics chan<- prometheus.Metric

func (m metrics) gauge(name, help string, value float64, labels ...string) {
	m.add(prometheus.GaugeValue, name, help, value, labels)
}

func (m metrics) counter(name, help string, value float64, labels ...string) {
	m.add(prometheus.CounterValue, name, help, value, labels)
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

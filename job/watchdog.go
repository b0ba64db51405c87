package job

import (
	"context"
	"net"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/cijepa/cijepa/job/history"
	"github.com/cijepa/cijepa/job/live"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
)

// silentWork is the longest time that healthy work goes without a sign of progress: the compiler at
// one program, or an update on few cores.
const silentWork = 10 * time.Minute

// stall is the time without progress after which the run counts as hung. Two storage timeouts can
// follow each other at the end of a run, for metrics and for the result, so both are allowed for.
func stall(c settings.Config) time.Duration { return 2*c.RetryTimeout + silentWork }

// listen serves the page, /metrics and /healthz of the run on Config.Listen, before anything that
// costs money. Without an address nothing is bound. A run does not end for its page: an address
// that cannot be bound, such as a port that is taken, is a warning. The returned function ends the
// page.
func (j *Job) listen() (closePage func()) {
	j.journal.follow(j.live.Line)
	if j.cfg.Listen == "" {
		return func() {}
	}
	listener, err := net.Listen("tcp", j.cfg.Listen)
	if err != nil {
		j.log.Warn("the run goes on without its page: choose another "+settings.Variable("Listen")+", or leave it empty",
			"address", j.cfg.Listen, "error", err)
		return func() {}
	}
	j.log.Info("listening", "address", listener.Addr().String())
	return j.live.Serve(listener, live.Options{
		Run: j.folder, Preset: j.cfg.Preset, Versions: j.versions, Depths: j.cfg.Depths, Limit: stall(j.cfg), Log: j.log,
	})
}

// watch yields a device error when the run has made no progress for too long: a device may never
// answer, and a last checkpoint cannot be had from it. Another machine may do better. A run that
// was told to stop has less time than that, so nothing comes after the end of ctx.
func (j *Job) watch(ctx context.Context) <-chan error {
	hung, limit := make(chan error, 1), stall(j.cfg) // read before the attempt sets its micro-batch
	go func() {
		err := j.live.Watch(ctx, limit)
		if ctx.Err() != nil {
			return
		}
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1) // a Builder takes all
		j.log.Error("the run hangs", "goroutines", stacks.String())
		hung <- &machine.DeviceError{Err: err}
	}()
	return hung
}

// readBefore gives the page what earlier attempts have left of the run. It reads beside the run: no
// run waits or fails for it. The returned function ends the reading.
func (j *Job) readBefore(ctx context.Context) (end func()) {
	if j.cfg.Listen == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		run, err := history.Read(ctx, j.bucket, j.folder)
		switch {
		case err == nil:
			j.live.Before(run)
		case ctx.Err() == nil:
			j.log.Warn("what earlier attempts have left cannot be shown", "error", err)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

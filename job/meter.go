package job

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/cijepa/cijepa/model"
)

// meter measures the pace of a phase and shows it: a bar on a terminal, nothing elsewhere.
type meter struct {
	device             *model.Device
	phase              string
	total, step, since int64
	last, read         time.Time     // of the newest update, of the newest look at the pace
	wait, busy         time.Duration // busy is the device's at the newest update
	bar                *progressbar.ProgressBar
}

// newMeter begins to measure a phase of total steps of which step are done. A nil writer shows nothing.
func newMeter(w io.Writer, device *model.Device, phase string, step, total int64) *meter {
	m := &meter{device: device, busy: device.Busy(), phase: phase, total: total, step: step, since: step, last: time.Now(), read: time.Now()}
	if w != nil {
		m.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(phase),
			progressbar.OptionShowCount(), progressbar.OptionSetWidth(24), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionFullWidth(), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish())
		_ = m.bar.Set64(step) // the bar's only error is a terminal that is gone
	}
	return m
}

// update counts one step and the time that it waited for its data, and returns the seconds since the one before, and of
// them those in which programs ran on the device.
func (m *meter) update(step int64, loss float64, images int, wait time.Duration) (lap, onDevice float64) {
	lap, onDevice = time.Since(m.last).Seconds(), (m.device.Busy() - m.busy).Seconds()
	m.last, m.busy = time.Now(), m.device.Busy()
	m.step = step
	m.wait += wait
	if m.bar != nil {
		elapsed := time.Since(m.read).Seconds()
		m.bar.Describe(fmt.Sprintf("%s  loss %.4f  %.0f images/s  wait %.1f%%", m.phase, loss,
			float64(images)*float64(m.step-m.since)/max(elapsed, 1e-9), 100*m.wait.Seconds()/max(elapsed, 1e-9)))
		_ = m.bar.Set64(step)
	}
	return lap, onDevice
}

// pace is what a phase did since the last look.
type pace struct {
	steps float64 // a second
	wait  float64 // share of the time that the data was waited for
	left  time.Duration
}

// pace gives the pace since the last look.
func (m *meter) pace() pace {
	elapsed := time.Since(m.read).Seconds()
	p := pace{steps: float64(m.step-m.since) / max(elapsed, 1e-9), wait: m.wait.Seconds() / max(elapsed, 1e-9)}
	p.left = time.Duration(float64(m.total-m.step) / max(p.steps, 1e-9) * float64(time.Second)).Round(time.Second)
	m.read, m.since, m.wait = time.Now(), m.step, 0
	return p
}

// end takes the bar away.
func (m *meter) end() {
	if m.bar != nil {
		_ = m.bar.Finish()
	}
}

package check

import (
	"context"
	"fmt"

	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/record"
	"github.com/cijepa/cijepa/job/settings"
)

// A run that takes longer is probably not meant, and one that takes much longer never ends.
const (
	longSeconds = 30 * 24 * 3600
	maxSeconds  = 1000 * 3600
)

// A model of XLA's kernels says that a step of ViT-B/16 runs at this share of an H100's peak. No
// card has measured it: .ci/gpu/judge.py is the model, and the shares allow for what it leaves out.
const (
	leastShare = 0.22
	mostShare  = 0.27
)

// reportTime predicts the hours of what is left of the run, from the steps that were timed. Unless
// those ran on a card, it adds what an H100 would take.
func (c *check) reportTime(ctx context.Context) {
	if c.updates() == 0 {
		return
	}
	left := c.updates()
	switch c.at.Phase {
	case record.Pretraining:
		left -= c.at.Step
	case record.Probing:
		left = 0
	}
	defer c.reportModelledTime(left)
	if c.update == 0 {
		return
	}
	pretrain := float64(left) * c.update
	index := c.data.Index
	train, validation := index.Counts[machine.TrainSplit], index.Counts[machine.ValidationSplit]
	reads := c.cfg.ProbeEpochs*train + validation // images through one encoder
	if c.cfg.KNNK > 0 {
		bank := train
		if c.cfg.KNNBank > 0 {
			bank = min(c.cfg.KNNBank, train)
		}
		reads += bank + validation
	}
	if index.Unlabelled() {
		reads = 0
	}
	encode := c.update / float64(c.cfg.Batch) * c.cfg.Model().EncoderFLOPs() / c.flops() // seconds of an image
	probe := 2 * float64(reads) * encode
	c.seconds = pretrain + probe
	probes := fmt.Sprintf(", the probes about %s (by operations, for %d images through two encoders): %s in all",
		settings.FormatSeconds(probe), reads, settings.FormatSeconds(c.seconds))
	if reads == 0 {
		probes = " and no probe"
	}
	text := fmt.Sprintf("pretraining %s for %d updates%s, while images come as fast as steps take them",
		settings.FormatSeconds(pretrain), left, probes)
	switch {
	case c.seconds > maxSeconds && isGo(c.cfg) && !c.slow:
		c.fault(ctx, "time", backendFault(c.cfg, text))
	case c.seconds > maxSeconds && !isGo(c.cfg):
		c.fault(ctx, "time", settings.NewError("Epochs", c.cfg.Epochs, text+": lower it, take a smaller network, or a faster device"))
	case c.seconds > longSeconds:
		c.warn("time", "%s", text)
	default:
		c.ok("time", "%s", text)
	}
	if price := c.cfg.PricePerHour; price > 0 {
		c.ok("cost", "%.2f, at %s=%g; starts, preemptions and waiting for images come on top",
			c.seconds/3600*price, settings.Variable("PricePerHour"), price)
	}
}

// reportModelledTime gives the hours of so many updates on an H100, by the model.
func (c *check) reportModelledTime(updates int64) {
	if updates == 0 || !isModelled(c.cfg) || c.update > 0 && c.cfg.FusedAttention() {
		return
	}
	flops, err := c.cfg.Model().MeanFLOPs() // of an image
	if err != nil {
		return // settings.Load refuses such settings
	}
	whole := float64(updates) * float64(c.cfg.Batch) * flops / machine.PeakFLOPs("H100")
	c.ok("time", "pretraining %s to %s on an H100, by a model that no card has confirmed (%.0f to %.0f %% of its peak); "+
		"cijepa bench measures a card",
		settings.FormatSeconds(whole/mostShare), settings.FormatSeconds(whole/leastShare), 100*leastShare, 100*mostShare)
}

// isModelled says whether the model speaks of these settings: the post's sizes, in bf16, with fused
// attention, without recomputation.
func isModelled(c settings.Config) bool {
	sizes := func(c settings.Config) [8]int {
		return [...]int{c.Image, c.Patch, c.Width, c.Depth, c.Heads, c.PredictorWidth, c.PredictorDepth, c.PredictorHeads}
	}
	post := settings.Defaults()
	return sizes(c) == sizes(post) && c.Precision == post.Precision && !c.Remat && !c.PlainAttention
}

// reportPreemption says what a preemption costs and whether the last checkpoint fits its deadline.
func (c *check) reportPreemption(context.Context) {
	if c.rate == 0 {
		return
	}
	bytes := float64(c.cfg.Model().StateBytes())
	upload, deadline := bytes/c.rate, c.cfg.StopDeadline().Seconds()
	if upload > c.cfg.SaveEvery.Seconds() {
		c.warn("save", "a checkpoint of %s takes %s to upload, longer than %s=%s: "+
			"checkpoints follow each other without a pause",
			settings.FormatBytes(bytes), settings.FormatSeconds(upload), settings.Variable("SaveEvery"), c.cfg.SaveEvery)
	}
	last := fmt.Sprintf("the last checkpoint, %s in %s,", settings.FormatBytes(bytes), settings.FormatSeconds(upload))
	setting := fmt.Sprintf("%s=%s", settings.Variable("StopGrace"), c.cfg.StopGrace)
	lost := max(c.cfg.SaveEvery.Seconds(), c.update) + upload
	kill := fmt.Sprintf("a kill without warning costs up to %s of computing", settings.FormatSeconds(lost))
	switch {
	case upload > deadline:
		c.warn("preemption", "%s does not fit %s: SIGTERM costs as much as a kill; %s", last, setting, kill)
	case c.update > deadline:
		c.warn("preemption", "%s fits %s, but the update in flight takes %s before that: "+
			"a pod with a shorter grace period is killed in it; %s",
			last, setting, settings.FormatSeconds(c.update), kill)
	case c.update > 0:
		c.ok("preemption", "%s fits %s after the update in flight (%s): SIGTERM costs no update; %s",
			last, setting, settings.FormatSeconds(c.update), kill)
	default:
		c.ok("preemption", "%s fits %s: SIGTERM costs no update; %s", last, setting, kill)
	}
}

package settings

import (
	"fmt"
	"io/fs"
	"net"
	"regexp"
	"slices"
	"strconv"

	"github.com/cijepa/cijepa/job/input"
)

// runName matches names that are one folder of a bucket on every store.
var runName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Upper bounds. Larger values are typing mistakes, and products of them could overflow an int.
const (
	maxCount      = 1_000_000
	maxNeighbours = 10_000 // the neighbours of a sample are kept in a sorted list
)

// validate adds every fault that can be seen from the settings alone.
func (c Config) validate(faults *Error) {
	want := func(ok bool, field string, value any, what string) {
		if !ok {
			faults.Add(Variable(field), value, what)
		}
	}
	want(c.Bucket != "", "Bucket", c.Bucket,
		"the URL of a bucket, such as s3://name?region=eu-west-1 or file:///folder")
	want(runName.MatchString(c.Run), "Run", c.Run,
		"letters, digits, dots, dashes and underscores, 100 at most")
	want(c.Epochs > 0 && c.Epochs <= maxCount, "Epochs", c.Epochs, "1 to a million")
	want(c.PeakLR > 0 && c.PeakLR <= 100, "PeakLR", c.PeakLR, "above 0, 100 at most")
	want(c.FinalLR >= 0 && c.FinalLR <= c.PeakLR, "FinalLR", c.FinalLR, fmt.Sprintf("from 0 to %s=%g", Variable("PeakLR"), c.PeakLR))
	want(c.Warmup >= 0 && c.Warmup < 1, "Warmup", c.Warmup, "a share from 0 to below 1")
	want(c.EMAMomentum >= 0 && c.EMAMomentum <= 1, "EMAMomentum", c.EMAMomentum, "from 0 to 1")
	want(c.Image <= input.MaxSize, "Image", c.Image, fmt.Sprintf("at most %d pixels", input.MaxSize))
	want(c.Data == "" || fs.ValidPath(c.Data) && c.Data != ".", "Data", c.Data,
		"a folder of the bucket, such as imagenet-100; empty: the bucket itself")
	want(c.Window > 0, "Window", c.Window, "at least 1")
	want(c.CropScale.within(0, 1), "CropScale", c.CropScale, "two shares, 0 < low <= high <= 1")
	want(c.ProbeCropScale.within(0, 1), "ProbeCropScale", c.ProbeCropScale, "two shares, 0 < low <= high <= 1")
	want(c.ProbeEpochs > 0 && c.ProbeEpochs <= maxCount, "ProbeEpochs", c.ProbeEpochs, "1 to a million")
	want(c.ProbeBatch > 0 && c.ProbeBatch <= maxCount, "ProbeBatch", c.ProbeBatch, "1 to a million")
	want(c.ProbeLR > 0 && c.ProbeLR <= 100, "ProbeLR", c.ProbeLR, "above 0, 100 at most")
	want(c.ProbeShare >= 0 && c.ProbeShare <= 1, "ProbeShare", c.ProbeShare, "a share from 0 to 1")
	want(c.KNNK >= 0 && c.KNNK <= maxNeighbours, "KNNK", c.KNNK, fmt.Sprintf("0 to %d", maxNeighbours))
	want(c.KNNBank >= 0, "KNNBank", c.KNNBank, "0 or more")
	want(c.Backend != "go", "Backend", c.Backend,
		"go:ops_sequential or go:parallelism=64 (the bare go backend can deadlock)")
	want(c.BadLimit >= 0 && c.BadLimit <= 1, "BadLimit", c.BadLimit, "a share from 0 to 1")
	want(c.SaveEvery > 0, "SaveEvery", c.SaveEvery, "above 0, such as 5m")
	want(c.KeepEvery > 0 && c.KeepEvery <= maxCount, "KeepEvery", c.KeepEvery, "1 to a million")
	want(c.StopGrace >= 0, "StopGrace", c.StopGrace, "0 or more, such as 15s")
	want(c.PricePerHour >= 0 && c.PricePerHour <= maxCount, "PricePerHour", c.PricePerHour, "0 or more, such as 2.5")
	want(c.RetryTimeout > 0, "RetryTimeout", c.RetryTimeout, "above 0, such as 10m")
	want(c.LogEvery > 0, "LogEvery", c.LogEvery, "at least 1")
	want(c.EvalEvery >= 0 && c.EvalEvery <= maxCount, "EvalEvery", c.EvalEvery, "0 to a million")
	want(c.Listen == "" || isAddress(c.Listen), "Listen", c.Listen,
		"an address such as :9090 or 127.0.0.1:9090")
	want(slices.Contains([]string{"", jsonLog, textLog}, c.Log), "Log", c.Log, "text or json")
	if err := c.Model().Validate(); err != nil {
		faults.addModel(c, err)
	} else if last := c.Depths[len(c.Depths)-1]; last < c.Depth-1 && !c.frozen {
		faults.Add(Variable("Depths"), c.Depths, fmt.Sprintf("must end at %d, the last block: blocks behind the last depth would never be trained; set %s=%s, or %s=%d",
			c.Depth-1, Variable("Depths"), c.Depths.endingAt(c.Depth-1), Variable("Depth"), last+1))
	} else if _, err := c.Model().Masker(); err != nil {
		faults.addModel(c, err)
	}
}

// The forms of a log.
const (
	jsonLog = "json"
	textLog = "text"
)

// isAddress says whether an address is a host or nothing, a colon, and the number of a port.
func isAddress(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	return err == nil
}

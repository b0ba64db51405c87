package main

import (
	"errors"
	"flag"
	"syscall"

	"github.com/cijepa/cijepa/job"
	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
)

// Exit codes. k8s/base/job.yaml maps them to what the cluster does next. 2 is not among them,
// because a Go panic exits with it.
const (
	exitDone      = 0
	exitFailed    = 1
	exitSettings  = 64  // a setting can never work: fail the Job at once
	exitData      = 65  // the data or every checkpoint is beyond repair: fail the Job at once
	exitStorage   = 74  // storage out of reach after our own retries: try again, later
	exitDevice    = 75  // the device fails or hangs, access is denied, or a disk is full: try again, elsewhere
	exitOvertaken = 76  // another attempt of this run goes on
	exitStopped   = 143 // SIGTERM; never 0, which would complete the Job
)

// exitCode maps the error of a command to an exit code.
func exitCode(err error) int {
	var settings *settings.Error
	var device *machine.DeviceError
	var sweep *sweepError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.Is(err, job.ErrStopped):
		return exitStopped
	case errors.As(err, &sweep):
		return sweep.code
	case errors.As(err, &settings), errors.Is(err, errUsage), errors.Is(err, storage.ErrUnsupported):
		return exitSettings
	case errors.Is(err, storage.ErrOvertaken):
		return exitOvertaken
	case errors.Is(err, storage.ErrCorrupt), errors.Is(err, input.ErrBadSamples):
		return exitData
	case errors.Is(err, storage.ErrDenied), errors.As(err, &device), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return exitDevice
	case errors.Is(err, storage.ErrUnreachable):
		return exitStorage
	}
	return exitFailed
}

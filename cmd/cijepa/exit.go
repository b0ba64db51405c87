package main

import (
	"errors"
	"flag"

	"github.com/cijepa/cijepa/job"
	"github.com/cijepa/cijepa/job/input"
	"github.com/cijepa/cijepa/job/machine"
	"github.com/cijepa/cijepa/job/settings"
	"github.com/cijepa/cijepa/storage"
)

// Exit codes. k8s/base/job.yaml maps them to what the cluster does next. 2 is not among them,
// because a Go panic exits with it.
const (
	exitDone        = 0
	exitFailed      = 1
	exitSettings    = 64  // a setting can never work: fail the Job at once
	exitData        = 65  // the data or every checkpoint is beyond repair: fail the Job at once
	exitUnreachable = 75  // storage or device out of reach after our own retries: try again, later
	exitOvertaken   = 76  // another attempt of this run goes on
	exitStopped     = 143 // SIGTERM; never 0, which would complete the Job
)

// exitCode maps the error of a command to an exit code.
func exitCode(err error) int {
	var settings *settings.Error
	var device *machine.DeviceError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.Is(err, job.ErrStopped):
		return exitStopped
	case errors.As(err, &settings), errors.Is(err, errUsage):
		return exitSettings
	case errors.Is(err, storage.ErrOvertaken):
		return exitOvertaken
	case errors.Is(err, storage.ErrCorrupt), errors.Is(err, input.ErrBadSamples):
		return exitData
	case errors.Is(err, storage.ErrUnreachable), errors.Is(err, storage.ErrDenied), errors.As(err, &device):
		return exitUnreachable
	}
	return exitFailed
}

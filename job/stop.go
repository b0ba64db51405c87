package job

import (
	"errors"
	"time"
)

// ErrStopped is the cause of a context that ends because the program was told to stop (SIGTERM). A run that returns it
// has not finished and is to be started again.
var ErrStopped = errors.New("stopped before the end; start the same run again to go on")

// Stop is ErrStopped with the moment at which the program was told: the deadline of the last checkpoint counts from it,
// whatever the run was doing when the signal came.
type Stop struct{ At time.Time }

// Error is ErrStopped's.
func (s Stop) Error() string { return ErrStopped.Error() }

// Is makes every Stop an ErrStopped.
func (s Stop) Is(target error) bool { return target == ErrStopped }

package storage

import "time"

// What the tests of package storage_test use of this package.
const (
	AheadBlock   = readBlock
	AgreeTries   = maxDisagreements
	ListPageSize = listPageSize
)

var ErrSilent = errIdle

// WithWaits sets the wait after the first failure and the time without progress after which an
// attempt is given up.
func (o Options) WithWaits(first, idle time.Duration) Options {
	o.firstWait, o.idleTimeout = first, idle
	return o
}

package storagetest

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/aws/smithy-go"
	"google.golang.org/api/googleapi"
)

// Op is a kind of call to a Store.
type Op string

// The kinds of calls. Attributes counts as a Read.
const (
	List   Op = "list"
	Read   Op = "read"
	Write  Op = "write"
	Delete Op = "delete"
)

// Call is one call to a Store.
type Call struct {
	N           int // counted from 1
	Op          Op
	Key         string // or the prefix of a List
	Conditional bool   // of a Write: create-if-absent
}

// Fault is what goes wrong with a call.
type Fault string

// The faults. Real drivers, networks and stores have each of them.
const (
	None            Fault = ""
	Refused         Fault = "refused"           // fails, and nothing has happened
	Unanswered      Fault = "unanswered"        // a write or deletion happens and is reported as failed
	UnansweredTwice Fault = "unanswered-twice"  // a create happens; the driver's own retry reports a failed condition
	Conflict        Fault = "conflict"          // S3's 409 to a create, after which it is to be retried
	Torn            Fault = "torn"              // an upload stops in its middle
	Cut             Fault = "cut"               // a read ends in its middle with an error
	CutQuietly      Fault = "cut-quietly"       // a read ends in its middle as if it were whole
	Flipped         Fault = "flipped"           // a read has one wrong bit and no error
	BadSum          Fault = "bad-sum"           // a read fails because the driver notices a wrong bit
	Stale           Fault = "stale"             // a listing lags behind
	Denied          Fault = "denied"            // 403
	DeniedAsMissing Fault = "denied-as-missing" // 403 that gcsblob calls NotFound
	Missing         Fault = "missing"           // a read says that the object does not exist
	Silent          Fault = "silent"            // no answer until the caller gives up
	Stalled         Fault = "stalled"           // a read or an upload stops in its middle until the caller gives up
	Slow            Fault = "slow"              // the answer takes slowness
	Thin            Fault = "thin"              // an upload moves nothing for thinness, then all
)

// Unconditional makes a store ignore the condition of a create. No run survives that, so it is not
// among Faults.
const Unconditional Fault = "unconditional"

// Faults returns the faults that a run survives.
func Faults() []Fault {
	return []Fault{
		Refused, Unanswered, UnansweredTwice, Conflict, Torn, Cut, CutQuietly, Flipped, BadSum, Stale,
		Denied, DeniedAsMissing, Missing, Silent, Stalled, Slow, Thin,
	}
}

const (
	slowness = 20 * time.Second
	thinness = 100 * time.Second
)

// Applies reports whether a call can have this fault.
func (f Fault) Applies(c Call) bool {
	switch f {
	case Unanswered:
		return c.Op == Write || c.Op == Delete
	case UnansweredTwice, Conflict, Unconditional:
		return c.Conditional
	case Torn, Thin:
		return c.Op == Write
	case Stalled:
		return c.Op == Read || c.Op == Write
	case Cut, CutQuietly, Flipped, BadSum, Missing:
		return c.Op == Read
	case Stale:
		return c.Op == List
	}
	return true
}

var errConnection = errors.New("connection reset by peer")

// before carries out the part of a fault that comes before the call takes effect.
func (f Fault) before(ctx context.Context, c Call) error {
	switch f {
	case Refused:
		return errConnection
	case Conflict:
		return &smithy.GenericAPIError{Code: "ConditionalRequestConflict", Message: "another request is under way"}
	case Denied:
		return &smithy.GenericAPIError{Code: "AccessDenied", Message: "not today"}
	case DeniedAsMissing:
		return &googleapi.Error{Code: http.StatusForbidden, Message: "permission denied on resource (or it may not exist)"}
	case Missing:
		return &smithy.GenericAPIError{Code: "NoSuchKey", Message: "the specified key does not exist"}
	case BadSum:
		return errors.New("storage: bad CRC on read: got 1, want 2")
	case Silent:
		<-ctx.Done()
		return ctx.Err()
	case Slow:
		select {
		case <-time.After(slowness):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// Nth returns a plan by which the n-th call has the fault.
func Nth(n int, fault Fault) func(Call) Fault {
	return func(c Call) Fault {
		if c.N == n {
			return fault
		}
		return None
	}
}

// Always returns a plan by which every call of the given kinds has the fault.
func Always(fault Fault, ops ...Op) func(Call) Fault {
	return func(c Call) Fault {
		if slices.Contains(ops, c.Op) {
			return fault
		}
		return None
	}
}

// From returns a plan by which every call from the n-th on has the fault, as in an outage.
func From(n int, fault Fault) func(Call) Fault {
	return func(c Call) Fault {
		if c.N >= n {
			return fault
		}
		return None
	}
}

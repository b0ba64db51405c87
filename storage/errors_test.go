package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"google.golang.org/api/googleapi"
)

// Each row is an error as a driver gives it and what it means.
func TestClassify(t *testing.T) {
	s3 := func(code string) error { return &smithy.GenericAPIError{Code: code} }
	s3Status := func(status int) error {
		return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: errors.New("no body")}
	}
	azure := func(status int, code string) error { return &azcore.ResponseError{StatusCode: status, ErrorCode: code} }
	google := func(status int) error { return &googleapi.Error{Code: status} }
	for _, x := range []struct {
		err  error
		want class
	}{
		{s3("NoSuchKey"), missing}, {s3("NoSuchBucket"), missing}, {s3Status(404), missing},
		{azure(404, "BlobNotFound"), missing}, {azure(404, "ContainerNotFound"), missing}, {google(404), missing}, {&fs.PathError{Err: fs.ErrNotExist}, missing},

		{s3("AccessDenied"), denied}, {s3("ExpiredToken"), denied}, {s3("InvalidAccessKeyId"), denied}, {s3Status(403), denied}, {s3Status(401), denied},
		{azure(403, "AuthorizationFailure"), denied}, {azure(403, "AuthorizationPermissionMismatch"), denied}, {azure(401, ""), denied},
		{google(403), denied}, {google(401), denied}, {os.ErrPermission, denied}, {syscall.EROFS, denied},

		{s3("PreconditionFailed"), exists}, {s3Status(412), exists}, {azure(409, "BlobAlreadyExists"), exists}, {azure(412, "ConditionNotMet"), exists},
		{google(412), exists}, {os.ErrExist, exists},

		{s3("ConditionalRequestConflict"), transient}, {s3("SlowDown"), transient}, {s3("RequestTimeout"), transient}, {s3("BadDigest"), transient},
		{s3Status(503), transient}, {s3Status(409), transient}, {azure(409, "ContainerBeingDeleted"), transient}, {azure(400, "Md5Mismatch"), transient},
		{azure(503, "ServerBusy"), transient}, {google(429), transient}, {google(500), transient}, {google(408), transient},
		{io.ErrUnexpectedEOF, transient}, {context.DeadlineExceeded, transient}, {&net.DNSError{Err: "no such host", IsNotFound: true}, transient},
		{syscall.ECONNREFUSED, transient}, {errors.New("something new"), transient},

		{s3Status(400), hopeless}, {azure(400, "InvalidInput"), hopeless}, {google(400), hopeless}, {syscall.ENOSPC, hopeless},
	} {
		if got := classify(fmt.Errorf("wrapped twice: %w", fmt.Errorf("once: %w", x.err))); got != x.want {
			t.Errorf("%v: class %d, want %d", x.err, got, x.want)
		}
	}
}

// A disk or quota without space is told with the folder, whatever the driver wraps it in.
func TestFullDiskSaysWhereToMakeRoom(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		err := explain("/srv/runs", writing, "x", &fs.PathError{Op: "write", Path: "/srv/runs/x", Err: full})
		if !errors.Is(err, ErrUnreachable) || !errors.Is(err, full) || !strings.Contains(err.Error(), "free space in /srv/runs") {
			t.Errorf("got %v", err)
		}
	}
}

func TestErrorsFitIntoALine(t *testing.T) {
	err := explain("", reading, "x", errors.New("GET\n-----------\nRESPONSE 403:\t403 Forbidden\n---\n"))
	if want := "reading x: storage unreachable: GET RESPONSE 403: 403 Forbidden"; err.Error() != want {
		t.Errorf("got  %q\nwant %q", err, want)
	}
}

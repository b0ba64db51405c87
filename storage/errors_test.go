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
	azure := func(status int, code string) error { return &azcore.ResponseError{StatusCode: status, ErrorCode: code} }
	google := func(status int) error { return &googleapi.Error{Code: status} }
	for _, x := range []struct {
		err  error
		want class
	}{
		{s3("NoSuchKey"), missing}, {s3("NoSuchBucket"), missing}, {s3Refused(404), missing},
		{azure(404, "BlobNotFound"), missing}, {azure(404, "ContainerNotFound"), missing}, {google(404), missing}, {&fs.PathError{Err: fs.ErrNotExist}, missing},

		{s3("AccessDenied"), denied}, {s3("ExpiredToken"), denied}, {s3("InvalidAccessKeyId"), denied}, {s3Refused(403), denied}, {s3Refused(401), denied},
		{azure(403, "AuthorizationFailure"), denied}, {azure(403, "AuthorizationPermissionMismatch"), denied}, {azure(401, ""), denied},
		{google(403), denied}, {google(401), denied}, {os.ErrPermission, denied}, {syscall.EROFS, denied},

		{s3("PreconditionFailed"), exists}, {s3Refused(412), exists}, {azure(409, "BlobAlreadyExists"), exists}, {azure(412, "ConditionNotMet"), exists},
		{google(412), exists}, {os.ErrExist, exists},

		{s3("ConditionalRequestConflict"), transient}, {s3("SlowDown"), transient}, {s3("RequestTimeout"), transient}, {s3("BadDigest"), transient},
		{s3Refused(503), transient}, {s3Refused(409), transient}, {azure(409, "ContainerBeingDeleted"), transient}, {azure(400, "Md5Mismatch"), transient},
		{azure(503, "ServerBusy"), transient}, {google(429), transient}, {google(500), transient}, {google(408), transient},
		{io.ErrUnexpectedEOF, transient}, {context.DeadlineExceeded, transient}, {&net.DNSError{Err: "no such host", IsNotFound: true}, transient},
		{syscall.ECONNREFUSED, transient}, {errors.New("something new"), transient},

		{s3Refused(400), hopeless}, {azure(400, "InvalidInput"), hopeless}, {google(400), hopeless}, {syscall.ENOSPC, hopeless},

		{errors.New("checksum did not match: algorithm CRC32, expect a, actual b"), damaged}, {errors.New("storage: bad CRC on read: got 1, want 2"), damaged},
	} {
		if got := classify(fmt.Errorf("wrapped twice: %w", fmt.Errorf("once: %w", x.err))); got != x.want {
			t.Errorf("%v: class %d, want %d", x.err, got, x.want)
		}
	}
}

// s3Refused is an answer without a code, as that of a machine's metadata service.
func s3Refused(status int) error {
	return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: errors.New("no body")}
}

// Who asks being refused is another thing than what is asked for, and has another remedy.
func TestRefusedCredentialsHaveTheirOwnAdvice(t *testing.T) {
	for _, x := range []struct {
		at   place
		err  error
		says string
	}{
		{place{scheme: "s3"}, &smithy.GenericAPIError{Code: "SignatureDoesNotMatch"}, "AWS_SECRET_ACCESS_KEY"},
		{place{scheme: "s3"}, &smithy.GenericAPIError{Code: "InvalidAccessKeyId"}, "AWS_ACCESS_KEY_ID"},
		{place{scheme: "s3"}, fmt.Errorf("operation error S3: ListObjectsV2, get identity: get credentials: %w", s3Refused(403)), "AWS_ACCESS_KEY_ID"},
		{place{scheme: "azblob"}, &azcore.ResponseError{StatusCode: 403, ErrorCode: "AuthenticationFailed"}, "AZURE_STORAGE_KEY"},
		{place{scheme: "azblob"}, &azcore.ResponseError{StatusCode: 401, ErrorCode: "InvalidAuthenticationInfo"}, "AZURE_STORAGE_KEY"},
		{place{scheme: "gs"}, &googleapi.Error{Code: 401}, "gcloud auth application-default login"},
		{place{scheme: "gs"}, errors.New("Get: private key should be a PEM or plain PKCS1 or PKCS8; parse error"), "GOOGLE_APPLICATION_CREDENTIALS"},
		{place{}, &smithy.GenericAPIError{Code: "ExpiredToken"}, "check the credentials"},
	} {
		err := explain(x.at, reading, "x", x.err)
		if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "check the credentials") || !strings.Contains(err.Error(), x.says) || strings.Contains(err.Error(), "grant") {
			t.Errorf("got %v, want %q", err, x.says)
		}
	}
	err := explain(place{scheme: "s3"}, reading, "x", &smithy.GenericAPIError{Code: "AccessDenied"})
	if !strings.Contains(err.Error(), "grant s3:GetObject") || strings.Contains(err.Error(), "credentials") {
		t.Errorf("a missing right: %v", err)
	}
}

// A folder has owners, no roles.
func TestRefusedFoldersHaveTheirOwnAdvice(t *testing.T) {
	uid := fmt.Sprintf("for uid %d", os.Getuid())
	for _, x := range []struct {
		act  string
		err  error
		says []string
	}{
		{writing, syscall.EACCES, []string{"make /srv/runs", "writable", uid}},
		{creating, syscall.EPERM, []string{"make /srv/runs", "writable", uid}},
		{deleting, syscall.EACCES, []string{"make /srv/runs", "writable", uid}},
		{reading, syscall.EACCES, []string{"make /srv/runs", "readable", uid}},
		{listing, syscall.EACCES, []string{"make /srv/runs", "readable", uid}},
		{writing, syscall.EROFS, []string{"/srv/runs is mounted read-only"}},
	} {
		err := explain(place{"file", "/srv/runs"}, x.act, "runs/r/run.json", &fs.PathError{Op: "mkdir", Path: "/srv/runs/runs", Err: x.err})
		for _, want := range x.says {
			if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3:") {
				t.Errorf("%s, %v: %v, want %q", x.act, x.err, err, want)
			}
		}
	}
}

// A disk or quota without space is told with the folder, whatever the driver wraps it in.
func TestFullDiskSaysWhereToMakeRoom(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		err := explain(place{"file", "/srv/runs"}, writing, "x", &fs.PathError{Op: "write", Path: "/srv/runs/x", Err: full})
		if !errors.Is(err, ErrUnreachable) || !errors.Is(err, full) || !strings.Contains(err.Error(), "free space in /srv/runs") {
			t.Errorf("got %v", err)
		}
	}
}

func TestErrorsFitIntoALine(t *testing.T) {
	err := explain(place{}, reading, "x", errors.New("GET\n-----------\nRESPONSE 403:\t403 Forbidden\n---\n"))
	if want := "reading x: storage unreachable: GET RESPONSE 403: 403 Forbidden"; err.Error() != want {
		t.Errorf("got  %q\nwant %q", err, want)
	}
}

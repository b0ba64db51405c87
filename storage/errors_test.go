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

// Each row is an error as a driver returns it, and its class.
func TestDriversErrorsAreClassified(t *testing.T) {
	s3 := func(code string) error { return &smithy.GenericAPIError{Code: code} }
	azure := func(status int, code string) error { return &azcore.ResponseError{StatusCode: status, ErrorCode: code} }
	google := func(status int) error { return &googleapi.Error{Code: status} }
	for _, x := range []struct {
		err  error
		want class
	}{
		{s3("NoSuchKey"), classMissing}, {s3("NoSuchBucket"), classMissing}, {s3Refused(404), classMissing},
		{azure(404, "BlobNotFound"), classMissing}, {azure(404, "ContainerNotFound"), classMissing},
		{google(404), classMissing}, {&fs.PathError{Err: fs.ErrNotExist}, classMissing},

		{s3("AccessDenied"), classDenied}, {s3("ExpiredToken"), classDenied},
		{s3("InvalidAccessKeyId"), classDenied}, {s3Refused(403), classDenied}, {s3Refused(401), classDenied},
		{azure(403, "AuthorizationFailure"), classDenied}, {azure(403, "AuthorizationPermissionMismatch"),
			classDenied}, {azure(401, ""), classDenied},
		{google(403), classDenied}, {google(401), classDenied}, {os.ErrPermission, classDenied},
		{syscall.EROFS, classDenied},

		{s3("PreconditionFailed"), classExists}, {s3Refused(412), classExists},
		{azure(409, "BlobAlreadyExists"), classExists}, {azure(412, "ConditionNotMet"), classExists},
		{google(412), classExists}, {os.ErrExist, classExists},

		{s3("ConditionalRequestConflict"), classTransient}, {s3("SlowDown"), classTransient},
		{s3("RequestTimeout"), classTransient}, {s3("BadDigest"), classTransient},
		{s3Refused(503), classTransient}, {s3Refused(409), classTransient},
		{azure(409, "ContainerBeingDeleted"), classTransient}, {azure(400, "Md5Mismatch"), classTransient},
		{azure(503, "ServerBusy"), classTransient}, {google(429), classTransient}, {google(500), classTransient},
		{google(408), classTransient},
		{io.ErrUnexpectedEOF, classTransient}, {context.DeadlineExceeded, classTransient},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, classTransient},
		{syscall.ECONNREFUSED, classTransient}, {errors.New("something new"), classTransient},

		{s3Refused(400), classPermanent}, {azure(400, "InvalidInput"), classPermanent},
		{google(400), classPermanent}, {syscall.ENOSPC, classPermanent},

		{errors.New("checksum did not match: algorithm CRC32, expect a, actual b"), classCorrupt},
		{errors.New("storage: bad CRC on read: got 1, want 2"), classCorrupt},
	} {
		if got := classify(fmt.Errorf("wrapped twice: %w", fmt.Errorf("once: %w", x.err))); got != x.want {
			t.Errorf("%v: class %d, want %d", x.err, got, x.want)
		}
	}
}

// s3Refused is an answer without a code of its own, such as one of a machine's metadata service.
func s3Refused(status int) error {
	return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
		Err: errors.New("no body")}
}

// Refused credentials need another remedy than a missing right.
func TestRefusedCredentialsHaveTheirOwnAdvice(t *testing.T) {
	for _, x := range []struct {
		at   place
		err  error
		says string
	}{
		{place{scheme: "s3"}, &smithy.GenericAPIError{Code: "SignatureDoesNotMatch"}, "AWS_SECRET_ACCESS_KEY"},
		{place{scheme: "s3"}, &smithy.GenericAPIError{Code: "InvalidAccessKeyId"}, "AWS_ACCESS_KEY_ID"},
		{place{scheme: "s3"}, fmt.Errorf("operation error S3: ListObjectsV2, get identity: get credentials: %w",
			s3Refused(403)), "AWS_ACCESS_KEY_ID"},
		{place{scheme: "azblob"}, &azcore.ResponseError{StatusCode: 403, ErrorCode: "AuthenticationFailed"},
			"AZURE_STORAGE_KEY"},
		{place{scheme: "azblob"}, &azcore.ResponseError{StatusCode: 401, ErrorCode: "InvalidAuthenticationInfo"},
			"AZURE_STORAGE_KEY"},
		{place{scheme: "gs"}, &googleapi.Error{Code: 401}, "gcloud auth application-default login"},
		{place{scheme: "gs"}, errors.New("Get: private key should be a PEM or plain PKCS1 or PKCS8; parse error"),
			"GOOGLE_APPLICATION_CREDENTIALS"},
		{place{}, &smithy.GenericAPIError{Code: "ExpiredToken"}, "check the credentials"},
	} {
		err := explain(x.at, reading, "x", x.err)
		if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "check the credentials") ||
			!strings.Contains(err.Error(), x.says) || strings.Contains(err.Error(), "grant") {
			t.Errorf("got %v, want %q", err, x.says)
		}
	}
	err := explain(place{scheme: "s3"}, reading, "x", &smithy.GenericAPIError{Code: "AccessDenied"})
	if !strings.Contains(err.Error(), "grant s3:GetObject") || strings.Contains(err.Error(), "credentials") {
		t.Errorf("a missing right: %v", err)
	}
}

// Folders have owners and modes, not roles.
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
		err := explain(place{scheme: "file", dir: "/srv/runs"}, x.act, "runs/r/run.json",
			&fs.PathError{Op: "mkdir", Path: "/srv/runs/runs", Err: x.err})
		for _, want := range x.says {
			if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3:") {
				t.Errorf("%s, %v: %v, want %q", x.act, x.err, err, want)
			}
		}
	}
}

// The error of a full disk or quota names the folder, whatever the driver wraps it in.
func TestFullDiskSaysWhereToMakeRoom(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		err := explain(place{scheme: "file", dir: "/srv/runs"}, writing, "x", &fs.PathError{Op: "write", Path: "/srv/runs/x", Err: full})
		if !errors.Is(err, ErrUnreachable) || !errors.Is(err, full) ||
			!strings.Contains(err.Error(), "free space in /srv/runs") {
			t.Errorf("got %v", err)
		}
	}
}

// Errors of several lines are folded into one.
func TestErrorsFitIntoALine(t *testing.T) {
	err := explain(place{}, reading, "x", errors.New("GET\n-----------\nRESPONSE 403:\t403 Forbidden\n---\n"))
	if want := "reading x: storage unreachable: GET RESPONSE 403: 403 Forbidden"; err.Error() != want {
		t.Errorf("got  %q\nwant %q", err, want)
	}
}

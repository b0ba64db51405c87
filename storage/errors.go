package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"gocloud.dev/gcerrors"
	"google.golang.org/api/googleapi"
)

// The errors a caller branches on, of this package and of those above it. Every other error is
// wrapped text.
var (
	// ErrNotFound: the object, or the bucket itself, does not exist. A refusal that a driver
	// reports as "not found" is ErrDenied.
	ErrNotFound = errors.New("not found")
	// ErrDenied: the credentials lack a right; the message says which.
	ErrDenied = errors.New("access denied")
	// ErrUnreachable: the store did not answer, or answered with its own failures, for all of
	// [Options].RetryTimeout; or it has no space left.
	ErrUnreachable = errors.New("storage unreachable")
	// ErrCorrupt: stored bytes differ from those that were written, or an object that a record
	// names is missing.
	ErrCorrupt = errors.New("corrupt")
	// ErrOvertaken: another attempt of the same run has made the commit that this one tried to
	// make.
	ErrOvertaken = errors.New("overtaken by another attempt of this run")
	// ErrNoFolder: the directory of a file:// bucket is missing, and [Options].MustExist is set.
	ErrNoFolder = errors.New("the folder does not exist")
	// ErrUnfit: the dataset that is asked for cannot be made of this source, these shards or this
	// class list.
	ErrUnfit = errors.New("no such data set can be made")
	// ErrUnsupported: the store, or the URL that leads to it, will refuse this for ever; the
	// message says what to change.
	ErrUnsupported = errors.New("the store refuses this for good")
	// ErrExists: the object already exists, with other bytes.
	ErrExists = errors.New("already exists")
)

// class is what the retry loop has to know about an error of a driver.
type class int

const (
	classTransient class = iota // another attempt may succeed
	classMissing
	classDenied
	classExists // a condition of the write did not hold
	classPermanent
	classUnsupported // no attempt ever succeeds
	classCorrupt     // by the driver's own checksum
)

// classify decides what an error of a driver means. It tests the answer of the store first and the
// driver's own code last, because the drivers differ: gcsblob calls a 403 NotFound, azureblob calls
// an unknown host NotFound, s3blob calls a conflict that wants a retry Unknown.
func classify(err error) class {
	if status, code, answered := answerOf(err); answered {
		return classifyAnswer(status, code)
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return classTransient // of this attempt: the retry loop has checked the caller's own context
	case errors.Is(err, fs.ErrNotExist):
		return classMissing
	case errors.Is(err, fs.ErrExist):
		return classExists
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return classDenied
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT),
		errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ENOTDIR):
		return classPermanent
	case strings.Contains(err.Error(), "no such host"):
		return classTransient // azureblob calls it NotFound; a pod's name service may come up after the pod
	case strings.Contains(err.Error(), noCredentials):
		return classDenied // an identity may come up after the pod as well, but the driver looks for one only once
	case strings.Contains(err.Error(), badChecksumS3), strings.Contains(err.Error(), badChecksumGoogle):
		return classCorrupt
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return classMissing
	case gcerrors.PermissionDenied:
		return classDenied
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		return classExists
	case gcerrors.InvalidArgument, gcerrors.Unimplemented:
		return classPermanent
	}
	return classTransient
}

// answerOf finds what the store answered: its HTTP status and a code of its own, either of which
// may be missing.
func answerOf(err error) (status int, code string, answered bool) {
	var (
		s3     smithy.APIError
		s3http *smithyhttp.ResponseError
		google *googleapi.Error
		azure  *azcore.ResponseError
	)
	if errors.As(err, &s3http) && s3http.Response != nil {
		status, answered = s3http.HTTPStatusCode(), true
	}
	if errors.As(err, &s3) {
		code, answered = s3.ErrorCode(), true
	}
	if errors.As(err, &google) {
		status, answered = google.Code, true
	}
	if errors.As(err, &azure) {
		status, code, answered = azure.StatusCode, azure.ErrorCode, true
	}
	return status, code, answered
}

// classifyAnswer classifies an answer of the store by its own code, if it has one, and else by the
// HTTP status (0: unknown).
func classifyAnswer(status int, code string) class {
	switch code {
	case "NoSuchKey", "NoSuchBucket", "NotFound", "BlobNotFound", "ContainerNotFound":
		return classMissing
	case "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
		"AuthenticationFailed", "AuthorizationFailure", "AuthorizationPermissionMismatch", "InsufficientAccountPermissions":
		return classDenied
	case "PreconditionFailed", "BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet":
		return classExists
	case "NotImplemented", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return classUnsupported
	case "TemporaryRedirect", "XAmzContentSHA256Mismatch":
		return classPermanent // sometimes of a store that knows a new bucket late, or of a flipped bit
	case "ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "RequestTimeTooSkewed", "SlowDown",
		"InternalError", "ServiceUnavailable", "ContainerBeingDeleted", "ServerBusy",
		"BadDigest", "XAmzContentChecksumMismatch", "Md5Mismatch", "Crc64Mismatch",
		"IncompleteBody", "NoSuchUpload":
		return classTransient
	}
	switch {
	case status == http.StatusNotImplemented, status == http.StatusMovedPermanently:
		return classUnsupported
	case status == http.StatusTemporaryRedirect:
		return classPermanent
	case status == http.StatusNotFound:
		return classMissing
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return classDenied
	case status == http.StatusPreconditionFailed:
		return classExists
	case status == 0, status < 400, status >= 500,
		status == http.StatusConflict, status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return classTransient
	}
	return classPermanent
}

// explain turns the last error of an operation into the one that its caller sees: the act and the
// key, a sentinel if one fits, and a remedy.
func explain(at place, act, key string, err error) error {
	err = oneLine{err}
	if IsDiskFull(err) { // unreachable, because a later attempt may find free space
		return fmt.Errorf("%s %s: %w (free space in %s or raise its quota): %w",
			act, key, ErrUnreachable, cmp.Or(at.dir, "the bucket"), err)
	}
	switch classify(err) {
	case classMissing:
		return fmt.Errorf("%s %s: %w: %w", act, key, ErrNotFound, err)
	case classDenied:
		return fmt.Errorf("%s %s: %w (%s): %w", act, key, ErrDenied, remedy(at, act, err), err)
	case classExists:
		return fmt.Errorf("%s %s: %w: %w", act, key, ErrExists, err)
	case classPermanent, classUnsupported:
		if remedy := unsupported(act, err); remedy != "" {
			return fmt.Errorf("%s %s: %w: %s: %w", act, key, ErrUnsupported, remedy, err)
		}
		return fmt.Errorf("%s %s: %w", act, key, err)
	case classCorrupt:
		return fmt.Errorf("%s %s: %w: %w", act, key, ErrCorrupt, err)
	}
	return fmt.Errorf("%s %s: %w: %w", act, key, ErrUnreachable, err)
}

// expectedRegion finds the region in an error that names it.
var expectedRegion = regexp.MustCompile(`expecting '([a-z0-9-]+)'`)

// unsupported says what to do about a store that refuses for ever; it is empty for an error that
// does not tell.
func unsupported(act string, err error) string {
	var (
		answer *smithyhttp.ResponseError
		s3     smithy.APIError
		status int
		code   string
		region string
	)
	if errors.As(err, &s3) {
		code = s3.ErrorCode()
	}
	if errors.As(err, &answer) && answer.Response != nil {
		status, region = answer.HTTPStatusCode(), answer.Response.Header.Get("X-Amz-Bucket-Region")
	}
	text := err.Error()
	if m := expectedRegion.FindStringSubmatch(text); m != nil {
		region = m[1]
	}
	switch {
	case region != "" || status == http.StatusMovedPermanently || status == http.StatusTemporaryRedirect ||
		slices.Contains([]string{"AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}, code):
		return fmt.Sprintf("the bucket is in another region: add region=%s to the URL, or correct "+
			"AWS_REGION or endpoint=",
			cmp.Or(region, "..."))
	case containsAny(strings.ToLower(text), "checksum", "trailer", "aws-chunked", "content-sha256", "contentsha256", "streaming-"):
		return "it does not know the checksums that the client sends: add request_checksum_calculation=when_required to the URL"
	case act == creating:
		return "it does not know conditional writes (If-None-Match), which keep two attempts of a run apart: " +
			"take a store, or a version of it, that does"
	case status == http.StatusNotImplemented || code == "NotImplemented":
		return "it lacks this operation, or a header of it: " +
			"try request_checksum_calculation=when_required in the URL, or take another store"
	}
	return ""
}

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

// oneLine is an error whose text fits into a log line: Azure's errors draw boxes, gocloud.dev's add
// a call stack in some formats.
type oneLine struct{ err error }

func (e oneLine) Unwrap() error { return e.err }
func (e oneLine) Error() string {
	words := strings.Fields(e.err.Error())
	return strings.Join(slices.DeleteFunc(words, func(word string) bool { return strings.Trim(word, "-") == "" }), " ")
}

// remedy says what to do when access is denied.
func remedy(at place, act string, err error) string {
	switch {
	case at.scheme == "file" && errors.Is(err, syscall.EROFS):
		return at.dir + " is mounted read-only: mount it for writing"
	case at.scheme == "file" && (act == listing || act == reading):
		return fmt.Sprintf("make %s, and what is in it, readable for uid %d, as which this program runs",
			at.dir, os.Getuid())
	case at.scheme == "file":
		return fmt.Sprintf("make %s, and what is in it, writable for uid %d, as which this program runs",
			at.dir, os.Getuid())
	case !badCredentials(err):
		return rightFor(act)
	case at.scheme == "":
		return "check the credentials"
	}
	return "check the credentials: " + requirements(at.scheme)
}

// badCredentials reports whether the store refused the credentials, and not the right to do
// something.
func badCredentials(err error) bool {
	status, code, _ := answerOf(err)
	refused := []string{"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthenticationFailed"}
	return status == http.StatusUnauthorized || slices.Contains(refused, code) || containsAny(err.Error(), noCredentials, noIdentity)
}

// Parts of the errors of S3's and Google's clients when the bytes of a whole object differ from the
// store's checksum. The errors have no types.
const (
	badChecksumS3     = "checksum did not match"
	badChecksumGoogle = "bad CRC on read"
)

// noCredentials is part of every error of gcsblob when it found no credentials: it goes on with an
// empty key. The error has no type.
const noCredentials = "private key should be a PEM"

// noIdentity is part of the errors of S3's client when it found no credentials. They have no type.
const noIdentity = "get identity: get credentials"

// rightFor names the right that an act needs, in the words of the three clouds.
func rightFor(act string) string {
	switch act {
	case listing:
		return "grant s3:ListBucket on the bucket, storage.objects.list, or Storage Blob Data Reader"
	case reading:
		return "grant s3:GetObject, storage.objects.get, or Storage Blob Data Reader"
	case deleting:
		return "grant s3:DeleteObject, storage.objects.delete, or Storage Blob Data Contributor"
	}
	return "grant s3:PutObject, storage.objects.create and .delete (to replace), or Storage Blob Data Contributor"
}

// The operations of this package, as error messages and logs name them.
const (
	listing  = "listing"
	reading  = "reading"
	writing  = "writing"
	creating = "creating"
	deleting = "deleting"
)

// WrapReadError wraps an error of reading the local file of an object (see [Bucket.LocalPath]) as
// the operations of a Bucket wrap theirs: with the key, a sentinel and a remedy.
func (b *Bucket) WrapReadError(key string, err error) error {
	return explain(b.options.place, reading, key, err)
}

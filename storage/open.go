package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
)

// Open opens the bucket of a URL: s3://NAME, gs://NAME, azblob://CONTAINER, file:///DIRECTORY or
// mem://, with the parameters of gocloud.dev's drivers and prefix=P/ to stay below a prefix. The
// program must import the driver, except Azure's. A missing directory of a file:// bucket is made,
// unless [Options].MustExist is set.
//
// A URL that cannot work, a bucket that does not exist and a store that does not answer are errors.
// Rights are not checked, because a dataset may be readable but not listable: see [Bucket.Check].
//
// No error and no log line of the bucket shows a secret of the URL: see [Redacted].
func Open(ctx context.Context, bucket string, o Options) (*Bucket, error) {
	o.place.secrets = secretsOf(bucket)
	b, err := openURL(ctx, bucket, o)
	return b, o.secrets.scrub(err)
}

func openURL(ctx context.Context, bucket string, o Options) (*Bucket, error) {
	u, err := checkURL(bucket)
	if err != nil {
		return nil, err
	}
	dir := ""
	if u.Scheme == "file" {
		if dir, err = prepareDirectory(u, o.MustExist); err != nil {
			return nil, err
		}
	}
	opened, err := open(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("opening bucket %s (%s): %w", Redacted(bucket), requirements(u.Scheme), err)
	}
	if err := checkRegion(opened); err != nil {
		return nil, errors.Join(fmt.Errorf("opening bucket %s: %w", Redacted(bucket), err), opened.Close())
	}
	o.scheme, o.dir = u.Scheme, dir
	b := &Bucket{blob: opened, options: o.withDefaults()}
	if err := b.checkReachable(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening bucket %s: %w", Redacted(bucket), err), opened.Close())
	}
	return b, nil
}

// checkRegion refuses an S3 client that found no region in the URL, the environment or the
// configuration file. Such a client never reaches the network, and its own error looks transient.
func checkRegion(b *blob.Bucket) error {
	var client *s3.Client
	if !b.As(&client) {
		return nil
	}
	const advice = "add region= to the URL, as in s3://NAME?region=us-east-1, or set AWS_REGION"
	switch region := client.Options().Region; {
	case region == "":
		return errors.New("no region is set: " + advice)
	case strings.ContainsFunc(region, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}):
		return fmt.Errorf("%q is no region: %s", region, advice)
	}
	return nil
}

// checkURL parses a bucket URL and refuses likely mistakes, with clearer messages than the drivers
// have.
func checkURL(bucket string) (*url.URL, error) {
	known := slices.Sorted(slices.Values(blob.DefaultURLMux().BucketSchemes()))
	u, err := url.Parse(bucket)
	switch {
	case bucket == "":
		return nil, fmt.Errorf("no bucket URL is given; known schemes: %s", strings.Join(known, ", "))
	case err != nil:
		return nil, fmt.Errorf("bucket URL %q cannot be parsed: %w", Redacted(bucket), err)
	case u.Scheme == "":
		return nil, fmt.Errorf("bucket URL %q has no scheme; for a directory write file://%s",
			bucket, absolutePath(bucket))
	case !slices.Contains(known, u.Scheme):
		return nil, fmt.Errorf("bucket URL %q has the unknown scheme %q; known schemes: %s",
			Redacted(bucket), u.Scheme, strings.Join(known, ", "))
	case u.User != nil:
		return nil, fmt.Errorf("bucket URL %q has a user in front of its bucket, which no driver reads; "+
			"credentials come from the environment", Redacted(bucket))
	case u.Scheme == "file" && u.Host != "" && u.Host != "." && u.Host != "localhost":
		return nil, fmt.Errorf("bucket URL %q: file URLs have three slashes; write file:///%s%s",
			bucket, u.Host, u.Path)
	case u.Scheme == "file" && u.Path == "":
		return nil, fmt.Errorf("bucket URL %q names no directory; write file:///some/directory", bucket)
	case u.Scheme != "file" && u.Scheme != "mem" && u.Host == "":
		return nil, fmt.Errorf("bucket URL %q names no bucket; write %s://NAME", Redacted(bucket), u.Scheme)
	case u.Query().Get("prefix") != "" && !strings.HasSuffix(u.Query().Get("prefix"), "/"):
		return nil, fmt.Errorf("bucket URL %q: a prefix that is a folder ends with a slash; write prefix=%s/",
			Redacted(bucket), u.Query().Get("prefix"))
	case slices.Contains(strings.Split(u.Query().Get("prefix"), "/"), ".."):
		return nil, fmt.Errorf("bucket URL %q: a prefix cannot lead out of the bucket", Redacted(bucket))
	case u.Fragment != "":
		return nil, fmt.Errorf("bucket URL %q: what stands behind # is no part of it; write %%23 for a # in a name",
			Redacted(bucket))
	case u.Scheme != "file" && strings.Trim(u.Path, "/") != "":
		return nil, fmt.Errorf("bucket URL %q has a path, which the driver ignores; "+
			"to stay below a prefix write %s://%s?prefix=%s/",
			Redacted(bucket), u.Scheme, u.Host, strings.Trim(u.Path, "/"))
	}
	return u, checkEndpoint(u)
}

// checkEndpoint refuses an endpoint of an S3 store that is no URL of a host.
func checkEndpoint(u *url.URL) error {
	endpoint := u.Query().Get("endpoint")
	if u.Scheme != "s3" || endpoint == "" {
		return nil
	}
	if e, err := url.Parse(endpoint); err != nil || e.Host == "" || e.Scheme != "http" && e.Scheme != "https" {
		return fmt.Errorf("bucket URL %q: endpoint=%s is no address: write endpoint=https://HOST, or "+
			"http://HOST:PORT", Redacted(u.String()), Redacted(endpoint))
	}
	return nil
}

// unknownHost tells of a name that the name service does not know.
func unknownHost(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no such host")
}

func absolutePath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// prepareDirectory makes the directory of a file:// URL unless it must exist, and sets the
// parameters that this package relies on. It returns the directory that keys are relative to.
func prepareDirectory(u *url.URL, mustExist bool) (string, error) {
	path := u.Path
	if u.Host == "." {
		path = strings.TrimPrefix(path, "/")
	}
	dir, err := filepath.Abs(filepath.FromSlash(path))
	if err != nil {
		return "", err
	}
	switch info, err := os.Stat(dir); {
	case err == nil && !info.IsDir():
		return "", fmt.Errorf("opening bucket %s: %s is a file, not a directory", u, dir)
	case mustExist && errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("opening bucket %s: %w: %s", u, ErrNoFolder, dir)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", fmt.Errorf("opening bucket %s: %w; choose a directory that you may write to", u, err)
	}
	q := u.Query()
	q.Set("no_tmp_dir", "1")  // temporary files beside their targets: a rename across file systems fails
	q.Set("metadata", "skip") // no .attrs file beside each object
	prefix := q.Get("prefix")
	u.RawQuery = q.Encode()
	if prefix != "" {
		dir = filepath.Join(dir, filepath.FromSlash(prefix))
	}
	return dir, nil
}

// requirements says what a kind of bucket needs beside its URL. The drivers' own errors do not say
// it: azureblob's name its option structs, gcsblob's a PEM.
func requirements(scheme string) string {
	switch scheme {
	case "s3":
		return "an s3 bucket needs a region (AWS_REGION, or region= in the URL), " +
			"credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role), " +
			"and in the URL, where it is not Amazon's, endpoint=, mostly use_path_style=true, " +
			"and for older stores request_checksum_calculation=when_required"
	case "gs":
		return "a gs bucket needs credentials (gcloud auth application-default login, " +
			"a key file that GOOGLE_APPLICATION_CREDENTIALS names, or a workload identity)"
	case "azblob":
		return "an azblob container needs AZURE_STORAGE_ACCOUNT, " +
			"credentials (AZURE_STORAGE_KEY, a SAS token or a workload identity), " +
			"and domain= in the URL where it is not Azure's"
	case "file":
		return "a file bucket needs a directory that can be written"
	}
	return "see gocloud.dev for the parameters of " + scheme
}

// openRetryTimeout is shorter than that of a running job, so that a mistyped endpoint is reported
// within a minute.
const openRetryTimeout = time.Minute

// checkReachable makes sure that the bucket exists and that its store answers.
func (b *Bucket) checkReachable(ctx context.Context) error {
	if b.options.dir != "" {
		return nil // prepareDirectory has just checked the directory
	}
	o := b.options
	o.RetryTimeout = min(o.RetryTimeout, openRetryTimeout)
	_, err := retry(ctx, o, listing, "the bucket", func(a *attempt) (struct{}, error) {
		_, _, err := b.blob.ListPage(a.ctx, blob.FirstPageToken, 1, nil)
		return struct{}{}, err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("the bucket does not exist: create it, or correct its name, region or endpoint: %w", err)
	case errors.Is(err, ErrDenied):
		return nil
	case o.Interactive && unknownHost(err):
		return fmt.Errorf("%w: the host of the store is not known: correct endpoint= or the region; "+
			"a store that has no host name for each bucket needs use_path_style=true in the URL: %w", ErrUnsupported, err)
	case errors.Is(err, ErrUnreachable):
		return fmt.Errorf("check the network and that nothing is missing (%s): %w", requirements(o.scheme), err)
	}
	return err
}

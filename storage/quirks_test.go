package storage_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "gocloud.dev/blob/s3blob"

	"github.com/cijepa/cijepa/storage"
	"github.com/cijepa/cijepa/storage/storagetest"
)

// quirkyS3 is a store that speaks some S3 and refuses some of it for ever.
type quirkyS3 struct {
	quirk string

	mu      sync.Mutex
	objects map[string][]byte
	uploads []string // x-amz-content-sha256 of each
}

func (s *quirkyS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refuse := func(status int, code, message string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
	}
	body, _ := io.ReadAll(r.Body)
	hash := r.Header.Get("X-Amz-Content-Sha256")
	sums := r.Header.Get("X-Amz-Trailer") + r.Header.Get("X-Amz-Sdk-Checksum-Algorithm")
	conditional := r.Header.Get("If-None-Match") != ""
	key := r.URL.Path
	stored, exists := s.objects[key]
	const lacks = "A header you provided implies functionality that is not implemented"
	switch {
	case s.quirk == "region":
		w.Header().Set("X-Amz-Bucket-Region", "eu-west-1")
		refuse(http.StatusMovedPermanently, "PermanentRedirect", "use the specified endpoint")
	case r.Method == http.MethodPut && s.quirk == "condition" && conditional:
		refuse(http.StatusNotImplemented, "NotImplemented", lacks)
	case r.Method == http.MethodPut && s.quirk == "checksum" && sums != "":
		refuse(http.StatusNotImplemented, "NotImplemented", lacks+": x-amz-sdk-checksum-algorithm")
	case r.Method == http.MethodPut && s.quirk == "argument" && sums != "":
		refuse(http.StatusBadRequest, "InvalidArgument", "Unsupported header x-amz-sdk-checksum-algorithm")
	case r.Method == http.MethodPut && s.quirk == "trailer" && strings.HasPrefix(hash, "STREAMING-"):
		refuse(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The provided header does not match what was computed.")
	case r.Method == http.MethodPut && conditional && exists && s.quirk != "overwrite":
		refuse(http.StatusPreconditionFailed, "PreconditionFailed", "it is there")
	case r.Method == http.MethodPut:
		s.uploads = append(s.uploads, hash)
		s.objects[key] = unchunked(body, hash)
		w.Header().Set("ETag", etag(s.objects[key]))
	case r.URL.Query().Get("list-type") != "":
		fmt.Fprint(w, "<ListBucketResult>")
		for key := range s.objects {
			if name := strings.TrimPrefix(key, "/bk/"); strings.HasPrefix(name, r.URL.Query().Get("prefix")) {
				fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>", name, len(s.objects[key]))
			}
		}
		fmt.Fprint(w, "</ListBucketResult>")
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case !exists:
		refuse(http.StatusNotFound, "NoSuchKey", "it is not there")
	default:
		w.Header().Set("ETag", etag(stored))
		http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(stored))
	}
}

func etag(data []byte) string {
	sum := md5.Sum(data)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// unchunked takes the framing of an aws-chunked upload away.
func unchunked(body []byte, hash string) []byte {
	if !strings.HasPrefix(hash, "STREAMING-") {
		return body
	}
	var data []byte
	for {
		head, rest, _ := bytes.Cut(body, []byte("\r\n"))
		size, _, _ := strings.Cut(string(head), ";")
		n, err := strconv.ParseInt(size, 16, 64)
		if err != nil || n == 0 || int(n) > len(rest) {
			return data
		}
		data = append(data, rest[:n]...)
		body = rest[n:][min(2, len(rest[n:])):]
	}
}

// TestStoreThatRefusesForEverIsToldAtOnce: over TLS as well, where uploads are streams with a
// trailer that plain HTTP never sees.
func TestStoreThatRefusesForEverIsToldAtOnce(t *testing.T) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
	for _, c := range []struct {
		quirk      string
		tls        bool
		parameters string
		word       string // of the remedy; "": all is well
	}{
		{"", false, "", ""},
		{"", true, "", ""},
		{"condition", false, "", "conditional writes (If-None-Match)"},
		{"overwrite", false, "", "use one that keeps conditional writes"},
		{"checksum", false, "", "request_checksum_calculation=when_required"},
		{"checksum", false, "&request_checksum_calculation=when_required", ""},
		{"argument", false, "", "request_checksum_calculation=when_required"},
		{"trailer", true, "", "request_checksum_calculation=when_required"},
		{"trailer", true, "&request_checksum_calculation=when_required", ""},
		{"region", true, "", "region=eu-west-1"},
	} {
		t.Run(fmt.Sprintf("%s tls=%v %s", c.quirk, c.tls, c.parameters), func(t *testing.T) {
			store := &quirkyS3{quirk: c.quirk, objects: map[string][]byte{}}
			server := httptest.NewUnstartedServer(store)
			if c.tls {
				server.StartTLS()
				bundle := filepath.Join(t.TempDir(), "ca.pem")
				certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
				if err := os.WriteFile(bundle, certificate, 0o666); err != nil {
					t.Fatal(err)
				}
				t.Setenv("AWS_CA_BUNDLE", bundle)
			} else {
				server.Start()
			}
			defer server.Close()
			begun := time.Now()
			b, err := storage.Open(t.Context(), "s3://bk?use_path_style=true&endpoint="+url.QueryEscape(server.URL)+c.parameters,
				storage.Options{Log: storagetest.Log(t), Interactive: true})
			if err == nil {
				defer b.Close()
				err = b.Check(t.Context(), "d/")
			}
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			switch {
			case c.word == "" && err != nil:
				t.Error(err)
			case c.word != "" && (!errors.Is(err, storage.ErrUnsupported) || !strings.Contains(err.Error(), c.word)):
				t.Errorf("got %v, want %q", err, c.word)
			}
			if c.tls && c.quirk == "" && !slices.Contains(store.uploads, "STREAMING-UNSIGNED-PAYLOAD-TRAILER") {
				t.Errorf("uploads over TLS were %v", store.uploads)
			}
			if len(store.objects) > 0 {
				t.Errorf("%d probes are left", len(store.objects))
			}
		})
	}
}

// TestEndpointThatIsNoAddressIsRefused: without a scheme, or of a host that nobody knows.
func TestEndpointThatIsNoAddressIsRefused(t *testing.T) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"} {
		t.Setenv(name, value)
	}
	for _, endpoint := range []string{"127.0.0.1:9000", "minio.example", "ftp://minio", "http://"} {
		_, err := storage.Open(t.Context(), "s3://bk?endpoint="+url.QueryEscape(endpoint), storage.Options{})
		if err == nil || !strings.Contains(err.Error(), "write endpoint=https://HOST") {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	_, err := storage.Open(t.Context(), "s3://bk?endpoint="+url.QueryEscape("http://nowhere.invalid"), storage.Options{Interactive: true})
	// Where no name service answers, the host is out of reach and not unknown.
	if err == nil || strings.Contains(err.Error(), "no such host") != (errors.Is(err, storage.ErrUnsupported) && strings.Contains(err.Error(), "use_path_style=true")) {
		t.Errorf("an unknown host: %v", err)
	}
}

package storagetest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
)

// BucketName is the bucket that every Server has.
const BucketName = "cijepa-test"

// Kind is a kind of object store for which there is a real server.
type Kind string

// The servers. Their binaries are built by .ci/tools/build.
const (
	S3    Kind = "versitygw"
	GCS   Kind = "fake-gcs-server"
	Azure Kind = "azurite"
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{S3, GCS, Azure} }

// The emulators' own published credentials; they open nothing else.
const (
	s3User, s3Secret = "test", "testsecret"
	azureAccount     = "devstoreaccount1"
	azureKey         = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// Server is a running object store with one empty bucket. It is stopped when the test ends.
type Server struct {
	Kind    Kind
	Address string // host:port

	t       testing.TB
	binary  string
	dir     string
	public  string
	process *exec.Cmd
	done    chan struct{}
}

// Start starts a server, or skips the test if its binary is missing. public is the address that
// clients use, that of a proxy in front of it; empty without a proxy.
func Start(t testing.TB, kind Kind, public string) *Server {
	t.Helper()
	s := &Server{
		Kind: kind, t: t, binary: binaryPath(t, string(kind)), dir: t.TempDir(),
		Address: freeAddress(t), public: public,
	}
	if public == "" {
		s.public = s.Address
	}
	switch kind {
	case S3:
		t.Setenv("AWS_ACCESS_KEY_ID", s3User)
		t.Setenv("AWS_SECRET_ACCESS_KEY", s3Secret)
		t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
		t.Setenv("ROOT_ACCESS_KEY", s3User)
		t.Setenv("ROOT_SECRET_KEY", s3Secret)
	case GCS:
		t.Setenv("STORAGE_EMULATOR_HOST", s.public)
	case Azure:
		t.Setenv("AZURE_STORAGE_ACCOUNT", azureAccount)
		t.Setenv("AZURE_STORAGE_KEY", azureKey)
	}
	if kind != Azure { // for the others a folder is a bucket
		if err := os.MkdirAll(filepath.Join(s.dir, BucketName), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	s.Restart()
	t.Cleanup(s.Kill)
	if kind == Azure {
		s.makeContainer()
	}
	return s
}

// binaryPath returns the path of a server's binary in the folder that CIJEPA_TEST_SERVERS names, or
// in .ci/bin. If it is missing the test is skipped.
func binaryPath(t testing.TB, name string) string {
	t.Helper()
	folder := os.Getenv("CIJEPA_TEST_SERVERS")
	for dir, _ := os.Getwd(); folder == "" && dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			folder = filepath.Join(dir, ".ci", "bin")
		}
	}
	path := filepath.Join(folder, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: no %s here: %v; run .ci/tools/build", name, err)
	}
	return path
}

func freeAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// URL returns the bucket's URL, through the proxy if there is one.
func (s *Server) URL() string { return s.URLThrough(s.public) }

// URLThrough returns the bucket's URL at another address, that of a proxy. A GCS server must have
// been started with it as its public address.
func (s *Server) URLThrough(address string) string {
	switch s.Kind {
	case S3:
		return fmt.Sprintf("s3://%s?endpoint=http://%s&use_path_style=true&region=us-east-1", BucketName, address)
	case GCS:
		return "gs://" + BucketName
	}
	return fmt.Sprintf("azblob://%s?protocol=http&domain=%s&localemu=true", BucketName, address)
}

func (s *Server) arguments() []string {
	host, port, _ := net.SplitHostPort(s.Address)
	switch s.Kind {
	case S3:
		return []string{"--port", s.Address, "--quiet", "posix", s.dir}
	case GCS:
		return []string{
			"-scheme", "http", "-host", host, "-port", port, "-backend", "filesystem", "-filesystem-root", s.dir,
			"-public-host", s.public, "-external-url", "http://" + s.public, "-log-level", "error",
		}
	}
	return []string{"--blobHost", host, "--blobPort", port, "--location", s.dir, "--skipApiVersionCheck", "--silent"}
}

// Restart starts the server again after a Kill, at its old address and with its stored objects.
func (s *Server) Restart() {
	s.t.Helper()
	s.process, s.done = launch(s.t, s.Address, s.binary, s.arguments()...)
}

// Kill stops the server with SIGKILL, as a power cut does.
func (s *Server) Kill() {
	s.process.Process.Kill()
	<-s.done
}

// launch starts a program and waits until it listens.
func launch(t testing.TB, address, binary string, arguments ...string) (*exec.Cmd, chan struct{}) {
	t.Helper()
	process := exec.Command(binary, arguments...)
	process.Stderr = t.Output()
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		process.Wait()
		close(done)
	}()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-done:
			t.Fatalf("%s ended at once: %v", binary, process.ProcessState)
		default:
		}
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			c.Close()
			return process, done
		}
	}
	process.Process.Kill()
	<-done
	t.Fatalf("%s does not listen on %s", binary, address)
	return nil, nil
}

func (s *Server) makeContainer() {
	s.t.Helper()
	credential, err := azblob.NewSharedKeyCredential(azureAccount, azureKey)
	if err != nil {
		s.t.Fatal(err)
	}
	address := fmt.Sprintf("http://%s/%s", s.Address, azureAccount)
	client, err := azblob.NewClientWithSharedKeyCredential(address, credential, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := client.CreateContainer(ctx, BucketName, nil); err != nil {
		s.t.Fatal(err)
	}
}
